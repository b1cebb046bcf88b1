#include "client/ray/api/arrow_batch_writer.h"

#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/counted.h"
#include "base/strings.h"
#include "client/ray/api/arrow_message.h"

namespace ray::internal {
namespace {

namespace ipc = raylet::arrow_ipc;
using raylet::Counted;
using raylet::ErrorCode;
using raylet::Fail;
using raylet::Result;
using raylet::StrCat;
using Kind = ColumnLayout::Kind;

template <class... Parts>
tl::unexpected<raylet::Error> Refuse(const ColumnType& column, const Parts&... why) {
  return Fail(ErrorCode::kInvalid, StrCat("column '", column.name, "' ", why...));
}

bool BitAt(const void* bits, int64_t at) { return (static_cast<const uint8_t*>(bits)[at / 8] >> (at % 8) & 1) != 0; }

int64_t OffsetAt(const void* offsets, size_t width, int64_t at) {
  int32_t narrow = 0;
  int64_t wide = 0;
  const bool is_wide = width == sizeof wide;
  std::memcpy(is_wide ? static_cast<void*>(&wide) : &narrow,
              static_cast<const std::byte*>(offsets) + static_cast<size_t>(at) * width, width);
  return is_wide ? wide : narrow;
}

template <class Offset>
void CopyOffsets(const void* source, int64_t count, int64_t base, std::byte* out) {
  for (int64_t i = 0; i < count; ++i) {
    const auto offset = static_cast<Offset>(OffsetAt(source, sizeof(Offset), i) - base);
    std::memcpy(out + static_cast<size_t>(i) * sizeof offset, &offset, sizeof offset);
  }
}

void CopyBits(const void* source, int64_t first, int64_t count, std::byte* out) {
  const auto* const from = static_cast<const uint8_t*>(source) + first / 8;
  const int64_t shift = first % 8;
  for (int64_t i = 0; i * 8 < count; ++i) {
    const int64_t left = count - i * 8;
    unsigned byte = from[i] >> shift;
    if (left > 8 - shift && shift != 0) byte |= static_cast<unsigned>(from[i + 1]) << (8 - shift);
    if (left < 8) byte &= (1U << left) - 1;
    out[i] = static_cast<std::byte>(byte);
  }
}

}  // namespace

Result<ArrowBatchWriter> ArrowBatchWriter::Of(const ArrowSchema& schema, const ArrowArray& array) {
  ArrowBatchWriter writer;
  size_t columns = 0;
  auto table = writer.TakeType(schema, 0, columns);
  if (!table) return Fail(std::move(table).error());
  if (table->layout.kind != Kind::kStruct)
    return Fail(ErrorCode::kInvalid, StrCat("a record batch is a struct of columns (\"+s\"), and not \"", table->format,
                                            "\": put a single column into a struct"));
  table->name = "the batch itself";
  const Slice all{array, array.offset, array.length};
  RAYLET_RETURN_IF_ERROR(writer.TakeColumn(*table, all));
  if (writer.nodes_.front().null_count() != 0)
    return Fail(ErrorCode::kInvalid, "a record batch has columns with nulls, and no rows that are null as a whole");
  // The batch itself has neither a node nor a buffer.
  writer.nodes_.erase(writer.nodes_.begin());
  writer.pieces_.erase(writer.pieces_.begin());
  writer.BuildHead(table->children, array.length);
  return writer;
}

Result<ColumnType> ArrowBatchWriter::TakeType(const ArrowSchema& schema, int depth, size_t& columns) {
  ColumnType column;
  if (schema.name != nullptr) column.name = schema.name;
  if (schema.release == nullptr || schema.format == nullptr)
    return Refuse(column, "has been released already: its schema says nothing");
  column.format = schema.format;
  column.nullable = (schema.flags & ARROW_FLAG_NULLABLE) != 0;
  if (++columns > kColumnsMax) return Refuse(column, "is one too many: a batch has at most ", kColumnsMax);
  if (depth > kColumnDepthMax + 1)
    return Refuse(column, "lies within more than ", kColumnDepthMax, " lists and structs");
  if (schema.dictionary != nullptr)
    return Refuse(column, "is encoded by a dictionary, and such columns cannot be stored: decode it");
  const auto layout = LayoutOf(column.format);
  if (!layout) return Refuse(column, "cannot be stored: ", layout.error().message);
  column.layout = *layout;
  if (column.layout.kind == Kind::kList && schema.n_children != 1)
    return Refuse(column, "is a list of ", schema.n_children, " children, and not of one");
  if (column.layout.kind == Kind::kStruct || column.layout.kind == Kind::kList) {
    for (int64_t i = 0; i < schema.n_children; ++i) {
      auto child = TakeType(*schema.children[i], depth + 1, columns);
      if (!child) return child;
      column.children.push_back(*std::move(child));
    }
  }
  return column;
}

Result<void> ArrowBatchWriter::TakeColumn(const ColumnType& column, const Slice& slice) {
  const ArrowArray& array = slice.array;
  if (array.release == nullptr) return Refuse(column, "has been released already: its array has no values");
  if (array.length < 0 || array.offset < 0 || array.length > kRowsMax || array.offset > kRowsMax)
    return Refuse(column, "has ", array.length, " rows from row ", array.offset);
  if (array.n_buffers != static_cast<int64_t>(column.layout.buffers()))
    return Refuse(column, "of format \"", column.format, "\" has ", Counted(array.n_buffers, "buffer"), ", and not ",
                  column.layout.buffers());
  if (array.n_children != static_cast<int64_t>(column.children.size()))
    return Refuse(column, "has ", Counted(array.n_children, "child", "children"), ", and its schema has ",
                  column.children.size());
  const size_t node = nodes_.size();
  nodes_.emplace_back(slice.length, 0);
  const auto nulls = TakeValidity(column, slice);
  if (!nulls) return Fail(nulls.error());
  nodes_[node] = ipc::FieldNode(slice.length, *nulls);
  const void* const values = column.layout.kind == Kind::kStruct ? nullptr : array.buffers[1];
  const bool needs_values = column.layout.kind != Kind::kStruct && slice.length != 0;
  if (needs_values && values == nullptr && !(column.layout.kind == Kind::kFixed && column.layout.width == 0))
    return Refuse(column, "has rows, and its second buffer is null");
  switch (column.layout.kind) {
    case Kind::kFixed: {
      const size_t width = column.layout.width;
      size_t bytes = 0;
      if (__builtin_mul_overflow(static_cast<size_t>(slice.length), width, &bytes))
        return Refuse(column, "is larger than any memory");
      const auto* const source = static_cast<const std::byte*>(values);
      const size_t skipped = static_cast<size_t>(slice.first) * width;
      AddPiece(
          {.source = bytes == 0 ? nullptr : source + skipped, .count = static_cast<int64_t>(bytes), .bytes = bytes});
      return {};
    }
    case Kind::kBits:
      AddPiece({.kind = Piece::Kind::kBits,
                .source = values,
                .first = slice.first,
                .count = slice.length,
                .bytes = static_cast<size_t>(slice.length + 7) / 8});
      return {};
    case Kind::kBytes: {
      int64_t begin = 0, end = 0;
      RAYLET_RETURN_IF_ERROR(TakeOffsets(column, slice, begin, end));
      const auto* const data = static_cast<const std::byte*>(array.buffers[2]);
      if (begin != end && data == nullptr) return Refuse(column, "has values, and its third buffer is null");
      const int64_t bytes = end - begin;
      AddPiece({.source = bytes == 0 ? nullptr : data + begin, .count = bytes, .bytes = static_cast<size_t>(bytes)});
      return {};
    }
    case Kind::kList: {
      int64_t begin = 0, end = 0;
      RAYLET_RETURN_IF_ERROR(TakeOffsets(column, slice, begin, end));
      return TakeChild(column.children.front(), array.children[0], begin, end - begin);
    }
    case Kind::kStruct:
      for (size_t i = 0; i < column.children.size(); ++i)
        RAYLET_RETURN_IF_ERROR(TakeChild(column.children[i], array.children[i], slice.first, slice.length));
      return {};
  }
  return {};
}

Result<void> ArrowBatchWriter::TakeChild(const ColumnType& column, const ArrowArray* child, int64_t first,
                                         int64_t length) {
  if (child == nullptr) return Refuse(column, "has a schema and no array");
  if (first + length > child->length)
    return Refuse(column, "has ", Counted(child->length, "row"), ", and the column around it uses row ",
                  first + length - 1);
  return TakeColumn(column, Slice{*child, child->offset + first, length});
}

// `begin` and `end`: what of the values the rows use.
Result<void> ArrowBatchWriter::TakeOffsets(const ColumnType& column, const Slice& slice, int64_t& begin, int64_t& end) {
  const size_t width = column.layout.width;
  static constexpr int64_t kZero = 0;
  // An array of no rows may come without its one offset.
  const bool none = slice.length == 0;
  const void* offsets =
      none ? static_cast<const void*>(&kZero)
           : static_cast<const std::byte*>(slice.array.buffers[1]) + static_cast<size_t>(slice.first) * width;
  begin = OffsetAt(offsets, width, 0);
  end = begin;
  for (int64_t i = 1; i <= slice.length; ++i) {
    const int64_t next = OffsetAt(offsets, width, i);
    if (next < end) return Refuse(column, "has offsets that go back, at row ", i - 1);
    end = next;
  }
  if (begin < 0) return Refuse(column, "has a negative offset");
  AddPiece({.kind = Piece::Kind::kOffsets,
            .source = offsets,
            .first = begin,
            .count = slice.length + 1,
            .width = width,
            .bytes = static_cast<size_t>(slice.length + 1) * width});
  return {};
}

// Returns how many of the rows are null. A buffer of no bytes says that none is. The interface's null_count is of the
// whole array, and -1 where nobody has counted.
Result<int64_t> ArrowBatchWriter::TakeValidity(const ColumnType& column, const Slice& slice) {
  const int64_t said = slice.array.null_count;
  if (said < -1 || said > slice.array.length)
    return Refuse(column, "has a null_count of ", said, ", and takes one from -1, not counted, to ", slice.array.length,
                  ", its rows");
  const void* const bits = slice.array.n_buffers == 0 ? nullptr : slice.array.buffers[0];
  if (bits == nullptr && said > 0)
    return Refuse(column, "has a null_count of ", said, ", and takes 0 at most, since it has no validity bitmap");
  int64_t nulls = 0;
  if (bits != nullptr && slice.array.null_count != 0)
    for (int64_t i = 0; i < slice.length; ++i) nulls += BitAt(bits, slice.first + i) ? 0 : 1;
  if (nulls == 0)
    AddPiece({});
  else
    AddPiece({.kind = Piece::Kind::kBits,
              .source = bits,
              .first = slice.first,
              .count = slice.length,
              .bytes = static_cast<size_t>(slice.length + 7) / 8});
  return nulls;
}

void ArrowBatchWriter::AddPiece(Piece piece) {
  piece.at = body_bytes_;
  body_bytes_ = AlignMessage(body_bytes_ + piece.bytes);
  pieces_.push_back(piece);
}

void ArrowBatchWriter::BuildHead(const std::vector<ColumnType>& columns, int64_t rows) {
  flatbuffers::FlatBufferBuilder builder;
  std::vector<flatbuffers::Offset<ipc::Field>> fields;
  for (const ColumnType& column : columns) fields.push_back(BuildField(builder, column));
  const auto schema = ipc::CreateSchema(builder, ipc::Endianness::Little, builder.CreateVector(fields));
  builder.Finish(ipc::CreateMessage(builder, ipc::MetadataVersion::V5, ipc::MessageHeader::Schema, schema.Union()));
  AppendMessageHead(head_, builder.GetBufferPointer(), builder.GetSize());

  builder.Clear();
  std::vector<ipc::Buffer> buffers;
  for (const Piece& piece : pieces_)
    buffers.emplace_back(static_cast<int64_t>(piece.at), static_cast<int64_t>(piece.bytes));
  const auto node_list = builder.CreateVectorOfStructs(nodes_);
  const auto buffer_list = builder.CreateVectorOfStructs(buffers);
  const auto batch = ipc::CreateRecordBatch(builder, rows, node_list, buffer_list);
  builder.Finish(ipc::CreateMessage(builder, ipc::MetadataVersion::V5, ipc::MessageHeader::RecordBatch, batch.Union(),
                                    static_cast<int64_t>(body_bytes_)));
  AppendMessageHead(head_, builder.GetBufferPointer(), builder.GetSize());
  bytes_ = head_.size() + body_bytes_ + kMessagePrefixBytes;
}

void ArrowBatchWriter::Copy(const Piece& piece, std::byte* out) {
  switch (piece.kind) {
    case Piece::Kind::kBytes:
      if (piece.bytes != 0) std::memcpy(out, piece.source, piece.bytes);
      break;
    case Piece::Kind::kBits: CopyBits(piece.source, piece.first, piece.count, out); break;
    case Piece::Kind::kOffsets:
      if (piece.width == sizeof(int32_t))
        CopyOffsets<int32_t>(piece.source, piece.count, piece.first, out);
      else
        CopyOffsets<int64_t>(piece.source, piece.count, piece.first, out);
      break;
  }
}

void ArrowBatchWriter::Write(std::span<std::byte> stream) const {
  RAYLET_CHECK(stream.size() == bytes_, "a batch is written into as many bytes as it takes");
  std::memcpy(stream.data(), head_.data(), head_.size());
  std::byte* const body = stream.data() + head_.size();
  size_t done = 0;
  for (const Piece& piece : pieces_) {
    std::memset(body + done, 0, piece.at - done);  // the memory had another use before
    Copy(piece, body + piece.at);
    done = piece.at + piece.bytes;
  }
  std::memset(body + done, 0, body_bytes_ - done);
  const uint32_t end[] = {kMessageMark, 0};
  std::memcpy(body + body_bytes_, end, sizeof end);
}

}  // namespace ray::internal
