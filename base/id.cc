#include "base/id.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "base/fork_generation.h"

namespace raylet {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void FillFromKernel(uint8_t* data, size_t size) {
  while (size > 0) {
    const ssize_t got = ::getrandom(data, size, 0);
    if (got < 0) {
      RAYLET_CHECK(errno == EINTR, "getrandom gives no random bytes, errno ", errno);
      continue;
    }
    data += got;
    size -= static_cast<size_t>(got);
  }
}

struct RandomBuffer {
  std::array<uint8_t, 512> bytes;
  size_t used = 512;
  uint64_t generation = 0;
};

}  // namespace

std::string ToHex(const uint8_t* data, size_t size) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex(size * 2, '0');
  for (size_t i = 0; i < size; ++i) {
    hex[2 * i] = kDigits[data[i] >> 4];
    hex[2 * i + 1] = kDigits[data[i] & 15];
  }
  return hex;
}

bool FromHex(std::string_view hex, uint8_t* data, size_t size) {
  if (hex.size() != size * 2) return false;
  if (!std::all_of(hex.begin(), hex.end(), [](char c) { return HexDigit(c) >= 0; })) return false;
  for (size_t i = 0; i < size; ++i) {
    data[i] = static_cast<uint8_t>(HexDigit(hex[2 * i]) << 4 | HexDigit(hex[2 * i + 1]));
  }
  return true;
}

void FillRandom(uint8_t* data, size_t size) {
  thread_local RandomBuffer buffer;
  if (size > buffer.bytes.size()) return FillFromKernel(data, size);
  // The bytes buffered before a fork belong to the parent, and two processes must never draw the same id.
  CountForks();
  const uint64_t generation = ForkGeneration();
  if (buffer.bytes.size() - buffer.used < size || buffer.generation != generation) {
    FillFromKernel(buffer.bytes.data(), buffer.bytes.size());
    buffer.used = 0;
    buffer.generation = generation;
  }
  std::memcpy(data, buffer.bytes.data() + buffer.used, size);
  buffer.used += size;
}

}  // namespace raylet
