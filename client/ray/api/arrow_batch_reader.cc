#include "client/ray/api/arrow_batch_reader.h"

#include <cstring>
#include <utility>

#include "base/counted.h"
#include "base/strings.h"
#include "client/ray/api/arrow_message.h"

namespace ray::internal {
namespace {

namespace ipc = raylet::arrow_ipc;
using raylet::Counted;
using raylet::ErrorCode;
using raylet::Result;
using raylet::StrCat;
using Kind = ColumnLayout::Kind;

constexpr size_t kValueAlignment = 8;  // of the largest value

template <class... Parts>
tl::unexpected<raylet::Error> NoBatch(const Parts&... parts) {
  return raylet::Fail(ErrorCode::kProtocolError,
                      StrCat("it holds no Arrow record batch that can be shown: ", parts...));
}

// One message of the stream. Its metadata is a copy that nobody else writes.
class StreamMessage {
 public:
  static Result<StreamMessage> At(std::span<const std::byte> stream, size_t at) {
    const auto bytes = MetadataBytes(stream.subspan(at), kBatchMetadataBytesMax);
    if (!bytes) return NoBatch(bytes.error().message);
    if (*bytes == 0) return NoBatch("it ends before its batch");
    StreamMessage read;
    read.metadata_.resize((*bytes + sizeof(uint64_t) - 1) / sizeof(uint64_t));
    std::memcpy(read.metadata_.data(), stream.data() + at + kMessagePrefixBytes, *bytes);
    read.body_at_ = at + kMessagePrefixBytes + *bytes;
    constexpr uint32_t kDepthMax = 4 * kColumnDepthMax, kTablesMax = 8 * kColumnsMax;
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(read.metadata_.data()), *bytes, kDepthMax,
                                   kTablesMax);
    if (!verifier.VerifyBuffer<ipc::Message>(nullptr)) return NoBatch("its metadata is damaged");
    const ipc::Message& message = read.message();
    if (message.version() < ipc::MetadataVersion::V4 || message.version() > ipc::MetadataVersion::V5)
      return NoBatch("it is of version ", static_cast<int>(message.version()) + 1,
                     " of the format, and 4 and 5 are known");
    if (message.body_length() < 0 || static_cast<uint64_t>(message.body_length()) > stream.size() - read.body_at_)
      return NoBatch("a body takes ", message.body_length(), " bytes, and ", stream.size() - read.body_at_,
                     " are left");
    return read;
  }

  const ipc::Message& message() const { return *flatbuffers::GetRoot<ipc::Message>(metadata_.data()); }
  size_t body_at() const { return body_at_; }
  size_t end() const { return body_at_ + static_cast<size_t>(message().body_length()); }

 private:
  std::vector<uint64_t> metadata_;
  size_t body_at_ = 0;
};

// Hands out the buffers of a batch in order, each checked against the body.
class BatchBody {
 public:
  BatchBody(const ipc::RecordBatch& batch, std::span<const std::byte> body) : batch_(batch), body_(body) {}

  Result<BatchColumn> Take(const ColumnType& type, int64_t rows_wanted) {
    if (batch_.nodes() == nullptr || nodes_ >= batch_.nodes()->size()) return NoBatch("it has too few columns");
    const ipc::FieldNode& node = *batch_.nodes()->Get(nodes_++);
    BatchColumn column;
    column.length = node.length();
    column.null_count = node.null_count();
    if (column.length < 0 || column.length > kRowsMax)
      return NoBatch("column '", type.name, "' has ", Counted(column.length, "row"), ", and may have ", kRowsMax);
    if (column.null_count < 0 || column.null_count > column.length)
      return NoBatch("column '", type.name, "' has a null_count of ", column.null_count, ", and takes one from 0 to ",
                     column.length, ", its rows");
    if (column.length < rows_wanted)
      return NoBatch("column '", type.name, "' has ", Counted(column.length, "row"), ", and ", rows_wanted,
                     " are used");
    const auto rows = static_cast<size_t>(column.length);
    auto validity = TakeBuffer(type, 0);
    if (!validity) return raylet::Fail(std::move(validity).error());
    if (column.null_count > 0 && validity->size() < (rows + 7) / 8)
      return NoBatch("column '", type.name, "' has a null_count of ", column.null_count, ", and takes 0 at most, ",
                     "since its validity bitmap has ", Counted(validity->size(), "byte"), ", and its rows take ",
                     (rows + 7) / 8);
    column.buffers.push_back(column.null_count == 0 ? nullptr : validity->data());
    if (auto taken = TakeValues(type, rows, column); !taken) return raylet::Fail(std::move(taken).error());
    return column;
  }

  bool AllTaken() const {
    return (batch_.nodes() == nullptr || nodes_ == batch_.nodes()->size()) &&
           (batch_.buffers() == nullptr || buffers_ == batch_.buffers()->size());
  }

 private:
  Result<std::span<const std::byte>> TakeBuffer(const ColumnType& type, size_t bytes_wanted) {
    if (batch_.buffers() == nullptr || buffers_ >= batch_.buffers()->size()) return NoBatch("it has too few buffers");
    const ipc::Buffer& buffer = *batch_.buffers()->Get(buffers_++);
    if (buffer.offset() < 0 || buffer.length() < 0 || static_cast<uint64_t>(buffer.offset()) > body_.size() ||
        static_cast<uint64_t>(buffer.length()) > body_.size() - static_cast<uint64_t>(buffer.offset()))
      return NoBatch("a buffer of column '", type.name, "' is said to lie at ", buffer.offset(), ", in ",
                     buffer.length(), " bytes, and the body has ", body_.size());
    if (static_cast<uint64_t>(buffer.length()) < bytes_wanted)
      return NoBatch("a buffer of column '", type.name, "' has ", Counted(buffer.length(), "byte"),
                     ", and its rows take ", bytes_wanted);
    const auto bytes = body_.subspan(static_cast<size_t>(buffer.offset()), static_cast<size_t>(buffer.length()));
    if (reinterpret_cast<uintptr_t>(bytes.data()) % kValueAlignment != 0)
      return NoBatch("a buffer of column '", type.name, "' is unaligned");
    return bytes;
  }

  Result<void> TakeValues(const ColumnType& type, size_t rows, BatchColumn& column) {
    size_t wanted = 0;
    switch (type.layout.kind) {
      case Kind::kFixed:
        if (__builtin_mul_overflow(rows, type.layout.width, &wanted))
          return NoBatch("column '", type.name, "' is larger than any memory");
        break;
      case Kind::kBits: wanted = (rows + 7) / 8; break;
      case Kind::kBytes:
      case Kind::kList: return TakeOffsets(type, rows, column);
      case Kind::kStruct:
        for (const ColumnType& child : type.children) {
          auto taken = Take(child, static_cast<int64_t>(rows));
          if (!taken) return raylet::Fail(std::move(taken).error());
          column.children.push_back(*std::move(taken));
        }
        return {};
    }
    const auto values = TakeBuffer(type, wanted);
    if (!values) return raylet::Fail(values.error());
    column.buffers.push_back(values->data());
    return {};
  }

  Result<void> TakeOffsets(const ColumnType& type, size_t rows, BatchColumn& column) {
    // A column of no rows may come without its one offset.
    const auto offsets = TakeBuffer(type, rows == 0 ? 0 : (rows + 1) * type.layout.width);
    if (!offsets) return raylet::Fail(offsets.error());
    const auto last = rows == 0                              ? Result<int64_t>(0)
                      : type.layout.width == sizeof(int32_t) ? LastOffset<int32_t>(type, *offsets, rows)
                                                             : LastOffset<int64_t>(type, *offsets, rows);
    if (!last) return raylet::Fail(last.error());
    static constexpr int64_t kZero = 0;
    column.buffers.push_back(offsets->size() < type.layout.width ? static_cast<const void*>(&kZero) : offsets->data());
    if (type.layout.kind == Kind::kBytes) {
      const auto values = TakeBuffer(type, static_cast<size_t>(*last));
      if (!values) return raylet::Fail(values.error());
      column.buffers.push_back(values->data());
      return {};
    }
    auto child = Take(type.children.front(), *last);
    if (!child) return raylet::Fail(std::move(child).error());
    column.children.push_back(*std::move(child));
    return {};
  }

  // The end of the last row's values. Offsets never go back.
  template <class Offset>
  static Result<int64_t> LastOffset(const ColumnType& type, std::span<const std::byte> offsets, size_t rows) {
    Offset last = 0;
    for (size_t i = 0; i <= rows; ++i) {
      Offset next = 0;
      std::memcpy(&next, offsets.data() + i * sizeof next, sizeof next);
      if (next < last) return NoBatch("the offsets of column '", type.name, "' go back, or are negative");
      last = next;
    }
    return static_cast<int64_t>(last);
  }

  const ipc::RecordBatch& batch_;
  const std::span<const std::byte> body_;
  uint32_t nodes_ = 0, buffers_ = 0;
};

Result<std::vector<ColumnType>> ReadSchema(const ipc::Message& message) {
  const auto* const schema = message.header_as_Schema();
  if (schema == nullptr)
    return NoBatch("it does not begin with a schema, but with a message of kind ",
                   static_cast<int>(message.header_type()));
  if (schema->endianness() != ipc::Endianness::Little) return NoBatch("its numbers are big endian");
  std::vector<ColumnType> types;
  size_t columns = 0;
  for (uint32_t i = 0; schema->fields() != nullptr && i < schema->fields()->size(); ++i) {
    auto type = ReadField(*schema->fields()->Get(i), 1, columns);
    if (!type) return NoBatch(type.error().message);
    types.push_back(*std::move(type));
  }
  return types;
}

template <class Struct>
bool IsAligned(const flatbuffers::Vector<const Struct*>* structs) {
  return structs == nullptr || structs->size() == 0 || reinterpret_cast<uintptr_t>(structs->Data()) % 8 == 0;
}

}  // namespace

Result<ArrowBatch> ParseBatchStream(std::span<const std::byte> stream) {
  const auto first = StreamMessage::At(stream, 0);
  if (!first) return raylet::Fail(first.error());
  ArrowBatch parsed;
  auto types = ReadSchema(first->message());
  if (!types) return raylet::Fail(std::move(types).error());
  parsed.types = *std::move(types);
  const auto second = StreamMessage::At(stream, first->end());
  if (!second) return raylet::Fail(second.error());
  const auto* const batch = second->message().header_as_RecordBatch();
  if (batch == nullptr)
    return NoBatch("a message of kind ", static_cast<int>(second->message().header_type()), " follows its schema");
  if (batch->compression() != nullptr) return NoBatch("it is compressed");
  if (batch->length() < 0 || batch->length() > kRowsMax) return NoBatch("it has ", batch->length(), " rows");
  if (!IsAligned(batch->nodes()) || !IsAligned(batch->buffers())) return NoBatch("its metadata is unaligned");
  parsed.rows = batch->length();
  BatchBody body(*batch, stream.subspan(second->body_at(), second->end() - second->body_at()));
  for (const ColumnType& type : parsed.types) {
    auto column = body.Take(type, parsed.rows);
    if (!column) return raylet::Fail(std::move(column).error());
    if (column->length != parsed.rows)
      return NoBatch("column '", type.name, "' has ", Counted(column->length, "row"), ", and the batch has ",
                     parsed.rows);
    parsed.columns.push_back(*std::move(column));
  }
  if (!body.AllTaken()) return NoBatch("it has more buffers than its columns");
  // The end may be marked, and nothing comes behind it.
  const auto rest = stream.subspan(second->end());
  constexpr uint32_t kEnd[] = {kMessageMark, 0};
  if (!rest.empty() && (rest.size() != sizeof kEnd || std::memcmp(rest.data(), kEnd, sizeof kEnd) != 0))
    return NoBatch("more than one batch is in its stream, or other things are");
  return parsed;
}

}  // namespace ray::internal
