#include "client/parameter_server/compression.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <ray/api/exceptions.h>
#include <ray/parameter_server/layout.h>

namespace ray::ps::internal {

using ray::internal::RayException;

namespace {

using Kind = Compression::Kind;

size_t KeptOf(double share, size_t count) {
  const auto kept = static_cast<size_t>(std::ceil(share * static_cast<double>(count)));
  return std::clamp<size_t>(kept, std::min<size_t>(1, count), count);
}

template <class V>
void Put(V value, std::span<uint8_t> packed, size_t index) {
  std::memcpy(packed.data() + index * sizeof value, &value, sizeof value);
}

template <class V>
V Take(std::span<const uint8_t> packed, size_t index) {
  V value;
  std::memcpy(&value, packed.data() + index * sizeof value, sizeof value);
  return value;
}

// A loss that is no number would spoil every gradient that comes after.
template <class T>
T LossOf(T whole, T arrives) {
  const T loss = whole - arrives;
  return std::isfinite(loss) ? loss : T{0};
}

template <class T>
void PackHalf(std::span<T> gradient, std::span<T> residual, std::span<uint8_t> packed) {
  for (size_t i = 0; i < gradient.size(); ++i) {
    const T whole = gradient[i] + residual[i];
    const uint16_t half = HalfOf(static_cast<float>(whole));
    Put(half, packed, i);
    residual[i] = LossOf(whole, static_cast<T>(OfHalf(half)));
  }
}

// Of each block: its factor, a float, then a byte for each element.
template <class T>
void PackByte(std::span<T> gradient, std::span<T> residual, std::span<uint8_t> packed) {
  constexpr float kMost = 127;
  for (size_t first = 0; first < gradient.size(); first += kByteBlock) {
    const size_t count = std::min(kByteBlock, gradient.size() - first);
    T* const g = gradient.data() + first;
    T* const r = residual.data() + first;
    T largest = 0;
    bool finite = true;
    for (size_t i = 0; i < count; ++i) {
      g[i] += r[i];
      const T size = std::abs(g[i]);
      finite = finite && std::isfinite(g[i]);
      largest = size > largest ? size : largest;
    }
    const float factor = finite ? static_cast<float>(largest) / kMost : std::numeric_limits<float>::quiet_NaN();
    const auto block = packed.subspan(first / kByteBlock * (kByteBlock + sizeof factor), count + sizeof factor);
    Put(factor, block, 0);
    const T inverse = finite && factor > 0 ? 1 / static_cast<T>(factor) : T{0};
    for (size_t i = 0; i < count; ++i) {
      const T scaled = finite ? g[i] * inverse : T{0};
      const auto byte = static_cast<int8_t>(std::lround(std::clamp<T>(scaled, -kMost, kMost)));
      block[sizeof factor + i] = static_cast<uint8_t>(byte);
      r[i] = LossOf(g[i], static_cast<T>(factor) * static_cast<T>(byte));
    }
  }
}

// The places of the elements that are sent, each 4 bytes, then the elements.
template <class T>
void PackTop(size_t kept, std::span<T> gradient, std::span<T> residual, std::span<uint8_t> packed) {
  std::vector<T> sizes(gradient.size());
  for (size_t i = 0; i < gradient.size(); ++i) {
    gradient[i] += residual[i];
    const T size = std::abs(gradient[i]);
    sizes[i] = std::isnan(size) ? std::numeric_limits<T>::infinity() : size;
  }
  T least = 0;  // of those that are sent
  if (kept < sizes.size()) {
    std::vector<T> sorted = sizes;
    const auto place = sorted.begin() + static_cast<std::ptrdiff_t>(kept - 1);
    std::nth_element(sorted.begin(), place, sorted.end(), std::greater<>());
    least = *place;
  }
  size_t equal = kept - static_cast<size_t>(std::count_if(sizes.begin(), sizes.end(), [&](T s) { return s > least; }));
  const auto values = packed.subspan(kept * sizeof(uint32_t));
  size_t sent = 0;
  for (size_t i = 0; i < gradient.size(); ++i) {
    const bool is_equal = sizes[i] == least && equal > 0;
    if (sizes[i] > least || is_equal) {
      equal -= is_equal ? 1 : 0;
      Put(static_cast<uint32_t>(i), packed, sent);
      Put(gradient[i], values, sent);
      residual[i] = 0;
      ++sent;
    } else {
      residual[i] = gradient[i];
    }
  }
}

}  // namespace

// An exponent of 5 bits with a bias of 15, and 10 bits behind the point.
uint16_t HalfOf(float value) {
  constexpr float kMost = 65504, kLeastNormal = 0x1p-14F;
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const float size = std::abs(value);
  if (std::isnan(value)) return 0x7e00;
  if (size >= kMost) return sign | 0x7bff;
  // Below the normal ones, the half's bits count units of 2^-24. The largest of these is the least normal one.
  if (size < kLeastNormal) return static_cast<uint16_t>(sign | static_cast<uint16_t>(std::nearbyint(size * 0x1p24F)));
  const uint32_t cut = bits & 0x1fff;
  uint32_t half = ((bits & 0x7fffffff) >> 13) - ((127 - 15) << 10);
  if (cut > 0x1000 || (cut == 0x1000 && (half & 1) != 0)) ++half;  // may carry into the exponent, as it should
  return static_cast<uint16_t>(sign | half);
}

float OfHalf(uint16_t half) {
  const uint32_t sign = uint32_t{half & 0x8000U} << 16;
  const uint32_t rest = half & 0x7fffU;
  if (rest >= 0x7c00) return std::numeric_limits<float>::quiet_NaN();  // HalfOf makes no infinity
  const float size = rest < 0x400 ? static_cast<float>(rest) * 0x1p-24F
                                  : std::bit_cast<float>((rest << 13) + (uint32_t{127 - 15} << 23));
  return std::bit_cast<float>(std::bit_cast<uint32_t>(size) | sign);
}

void CheckCompression(const Compression& compression) {
  if (!(compression.share > 0 && compression.share <= 1))
    throw RayException("the largest elements of a gradient were asked for with a share of " +
                       std::to_string(compression.share) + ": it takes one above 0, and at most 1");
}

size_t PackedBytes(const Compression& compression, size_t count, size_t element_bytes) {
  switch (compression.kind) {
    case Kind::kHalf: return count * sizeof(uint16_t);
    case Kind::kByte: return count + (count + kByteBlock - 1) / kByteBlock * sizeof(float);
    case Kind::kTop: return KeptOf(compression.share, count) * (sizeof(uint32_t) + element_bytes);
    case Kind::kNone: break;
  }
  return count * element_bytes;
}

template <class T>
void Pack(const Compression& compression, std::span<T> gradient, std::span<T> residual, std::span<uint8_t> packed) {
  CheckSize("the residual", residual.size(), gradient.size());
  CheckSize("the packed gradient", packed.size(), PackedBytes(compression, gradient.size(), sizeof(T)));
  switch (compression.kind) {
    case Kind::kHalf: return PackHalf(gradient, residual, packed);
    case Kind::kByte: return PackByte(gradient, residual, packed);
    case Kind::kTop: return PackTop(KeptOf(compression.share, gradient.size()), gradient, residual, packed);
    case Kind::kNone: std::memcpy(packed.data(), gradient.data(), gradient.size_bytes());
  }
}

template <class T>
void Unpack(const Compression& compression, std::span<const uint8_t> packed, std::span<T> gradient) {
  CheckSize("the packed gradient", packed.size(), PackedBytes(compression, gradient.size(), sizeof(T)));
  switch (compression.kind) {
    case Kind::kHalf:
      for (size_t i = 0; i < gradient.size(); ++i) gradient[i] = static_cast<T>(OfHalf(Take<uint16_t>(packed, i)));
      return;
    case Kind::kByte:
      for (size_t first = 0; first < gradient.size(); first += kByteBlock) {
        const auto block = packed.subspan(first / kByteBlock * (kByteBlock + sizeof(float)));
        const auto factor = static_cast<T>(Take<float>(block, 0));
        for (size_t i = 0; i < std::min(kByteBlock, gradient.size() - first); ++i)
          gradient[first + i] = factor * static_cast<T>(static_cast<int8_t>(block[sizeof(float) + i]));
      }
      return;
    case Kind::kTop: {
      const size_t kept = KeptOf(compression.share, gradient.size());
      const auto values = packed.subspan(kept * sizeof(uint32_t));
      std::fill(gradient.begin(), gradient.end(), T{0});
      for (size_t i = 0; i < kept; ++i) {
        const auto place = Take<uint32_t>(packed, i);
        if (place >= gradient.size())
          throw RayException("a packed gradient names element " + std::to_string(place) + " of " +
                             std::to_string(gradient.size()));
        gradient[place] = Take<T>(values, i);
      }
      return;
    }
    case Kind::kNone: std::memcpy(gradient.data(), packed.data(), packed.size());
  }
}

template void Pack(const Compression&, std::span<float>, std::span<float>, std::span<uint8_t>);
template void Pack(const Compression&, std::span<double>, std::span<double>, std::span<uint8_t>);
template void Unpack(const Compression&, std::span<const uint8_t>, std::span<float>);
template void Unpack(const Compression&, std::span<const uint8_t>, std::span<double>);

}  // namespace ray::ps::internal
