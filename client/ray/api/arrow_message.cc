#include "client/ray/api/arrow_message.h"

#include <array>
#include <bit>

#include "base/strings.h"

namespace ray::internal {

using raylet::ErrorCode;
using raylet::StrCat;

static_assert(std::endian::native == std::endian::little, "messages are little endian");

void AppendMessageHead(std::string& out, const uint8_t* metadata, size_t metadata_bytes) {
  const size_t size = AlignMessage(kMessagePrefixBytes + metadata_bytes);
  const std::array<uint32_t, 2> prefix{kMessageMark, static_cast<uint32_t>(size - kMessagePrefixBytes)};
  out.append(reinterpret_cast<const char*>(prefix.data()), kMessagePrefixBytes);
  out.append(reinterpret_cast<const char*>(metadata), metadata_bytes);
  out.append(size - kMessagePrefixBytes - metadata_bytes, '\0');
}

raylet::Result<size_t> MetadataBytes(std::span<const std::byte> bytes, size_t metadata_bytes_max) {
  const auto fail = [](const auto&... why) { return raylet::Fail(ErrorCode::kProtocolError, StrCat(why...)); };
  std::array<uint32_t, 2> prefix{};
  if (bytes.size() < kMessagePrefixBytes) return fail("it has ", bytes.size(), " bytes");
  std::memcpy(prefix.data(), bytes.data(), kMessagePrefixBytes);
  if (prefix[0] != kMessageMark) return fail("it does not begin with the mark of an Arrow message");
  const size_t metadata_bytes = prefix[1], left = bytes.size() - kMessagePrefixBytes;
  if (metadata_bytes > left) return fail("its metadata takes ", metadata_bytes, " bytes, and ", left, " are left");
  if (metadata_bytes > metadata_bytes_max)
    return fail("its metadata takes ", metadata_bytes, " bytes, and may take ", metadata_bytes_max);
  return metadata_bytes;
}

}  // namespace ray::internal
