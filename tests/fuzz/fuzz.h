// Helpers of the fuzz targets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

// A property that every input must keep; stops with a sentence that libFuzzer reports together with the input.
#define FUZZ_ASSERT(condition)                                                            \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)

namespace raylet::fuzz {

inline std::span<const std::byte> AsBytes(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}

// Reads the bytes, so that the sanitizer sees a view that points outside.
inline void Touch(const void* data, size_t size) {
  const auto* const bytes = static_cast<const volatile uint8_t*>(data);
  for (size_t i = 0; i < size; ++i) static_cast<void>(bytes[i]);
}

// Takes the input apart from the front; past the end everything is zero.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  template <class T>
  T Take() {
    T value{};
    const size_t size = sizeof value < left_ ? sizeof value : left_;
    if (size != 0) std::memcpy(&value, data_, size);
    Skip(size);
    return value;
  }
  std::span<const std::byte> TakeBytes(size_t size) {
    if (size > left_) size = left_;
    const auto taken = AsBytes(data_, size);
    Skip(size);
    return taken;
  }
  std::span<const std::byte> Rest() { return TakeBytes(left_); }

 private:
  void Skip(size_t size) {
    data_ += size;
    left_ -= size;
  }
  const uint8_t* data_;
  size_t left_;
};

}  // namespace raylet::fuzz
