// Compression of gradients: Pack writes fewer bytes than a gradient has, Unpack makes a gradient of them again. What is
// lost is kept in a residual, which is part of the next gradient. Pure: no object, actor or clock. Always holds: what
// Unpack gives, added to the residual, is the gradient with the residual before, but for the rounding of one sum.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <ray/parameter_server/options.h>

namespace ray::ps::internal {

// Elements with one factor under Kind::kByte.
constexpr size_t kByteBlock = 256;

// Bytes of a packed gradient of `count` elements of `element_bytes` bytes.
size_t PackedBytes(const Compression& compression, size_t count, size_t element_bytes);

// Throws RayException for a share that is not above 0 and at most 1.
void CheckCompression(const Compression& compression);

// `packed` has PackedBytes. `gradient` holds unspecified values afterwards. `residual` has the gradient's size.
template <class T>
void Pack(const Compression& compression, std::span<T> gradient, std::span<T> residual, std::span<uint8_t> packed);

// Throws RayException where the bytes are not those of a gradient of this size.
template <class T>
void Unpack(const Compression& compression, std::span<const uint8_t> packed, std::span<T> gradient);

// 16-bit floats, rounded to the nearest. Values beyond 65504 become that.
uint16_t HalfOf(float value);
float OfHalf(uint16_t half);

extern template void Pack(const Compression&, std::span<float>, std::span<float>, std::span<uint8_t>);
extern template void Pack(const Compression&, std::span<double>, std::span<double>, std::span<uint8_t>);
extern template void Unpack(const Compression&, std::span<const uint8_t>, std::span<float>);
extern template void Unpack(const Compression&, std::span<const uint8_t>, std::span<double>);

}  // namespace ray::ps::internal
