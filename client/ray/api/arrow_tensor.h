// The form of an array in the store: an Arrow IPC message of a tensor. It has a mark, the length of the metadata, the
// metadata (fbs/arrow.fbs) and the elements, row by row. These begin 64-byte aligned. An array of bool is one of uint8
// there, since Arrow has no tensors of bool; its metadata names the type. Pure; any thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include <ray/api/array.h>

#include "base/result.h"
#include "client/ray/api/arrow_message.h"

namespace ray::internal {

constexpr size_t kTensorMetadataBytesMax = 4096;  // more than any tensor of eight dimensions needs

size_t ElementBytes(Dtype dtype);
std::string ShapeText(std::span<const size_t> sizes);  // "(2, 3)"

// As MakeArrayShape, without an exception.
raylet::Result<ArrayShape> ShapeOf(std::span<const size_t> sizes, size_t element_bytes);

// All that comes before the elements: a multiple of kMessageAlignment, at most 8 + kTensorMetadataBytesMax.
size_t TensorHeaderBytes(Dtype dtype, size_t ndim);
// `header` has TensorHeaderBytes.
void WriteTensorHeader(const ArrayShape& shape, Dtype dtype, std::span<std::byte> header);

struct ArrowTensor {
  Dtype dtype = Dtype::kNone;
  ArrayShape shape;
  size_t elements_at = 0;  // in the message; the elements end within it
};

// Reads what another program may have written. kProtocolError, with the reason, where it is not exactly one message of
// a tensor that an array can show.
raylet::Result<ArrowTensor> ParseTensorMessage(std::span<const std::byte> message);
// Whether it is a message that WriteTensorHeader begins, of exactly this type: then also of which shape, and where the
// elements begin. Takes a fraction of the time of ParseTensorMessage, whose answer is the same.
bool ReadOwnTensor(std::span<const std::byte> message, Dtype dtype, ArrayShape& shape, size_t& elements_at);

}  // namespace ray::internal
