// Id<Tag, N>: N opaque bytes that name something. Ids of different tags do not mix. Trivially
// copyable; compares and hashes by its bytes. All zero means "nil".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

namespace raylet {

std::string ToHex(const uint8_t* data, size_t size);
bool FromHex(std::string_view hex, uint8_t* data, size_t size);  // false unless hex is exactly 2 * size hex digits
void FillRandom(uint8_t* data, size_t size);                     // from the kernel, buffered per thread

template <class Tag, size_t N>
class Id {
 public:
  static constexpr size_t kSize = N;

  constexpr Id() = default;
  static Id FromRandom() {
    Id id;
    FillRandom(id.bytes_.data(), N);
    return id;
  }
  // Nil unless binary has exactly N bytes.
  static Id FromBinary(std::string_view binary) {
    Id id;
    if (binary.size() == N) std::memcpy(id.bytes_.data(), binary.data(), N);
    return id;
  }

  const uint8_t* data() const { return bytes_.data(); }
  uint8_t* mutable_data() { return bytes_.data(); }
  static constexpr size_t size() { return N; }
  std::string binary() const { return {reinterpret_cast<const char*>(bytes_.data()), N}; }
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes_.data()), N}; }
  std::string hex() const { return ToHex(bytes_.data(), N); }
  bool IsNil() const { return *this == Id(); }

  // 64 well-mixed bits; the same in every process.
  uint64_t Hash() const {
    uint64_t h = 0x9e3779b97f4a7c15ULL ^ N;
    for (size_t i = 0; i + 8 <= N; i += 8) h = Fold(h ^ WordAt<8>(i));
    if constexpr (N % 8 != 0) h = Fold(h ^ WordAt<N % 8>(N - N % 8));
    return Mix(h);
  }

  friend bool operator==(const Id&, const Id&) = default;
  friend auto operator<=>(const Id&, const Id&) = default;

 private:
  template <size_t kBytes>
  uint64_t WordAt(size_t at) const {
    uint64_t word = 0;
    std::memcpy(&word, bytes_.data() + at, kBytes);
    return word;
  }
  // The halves of a product, folded: wyhash's step (Wang Yi, public domain).
  static constexpr uint64_t Fold(uint64_t x) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(x) * 0xa0761d6478bd642fULL;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  }
  // The finaliser of MurmurHash3 (Austin Appleby, public domain).
  static constexpr uint64_t Mix(uint64_t x) {
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdULL;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53ULL;
    return x ^ (x >> 33);
  }

  std::array<uint8_t, N> bytes_{};
};

}  // namespace raylet

template <class Tag, size_t N>
struct std::hash<raylet::Id<Tag, N>> {
  size_t operator()(const raylet::Id<Tag, N>& id) const noexcept { return id.Hash(); }
};
