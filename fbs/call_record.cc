#include "fbs/call_record.h"

#include "base/check.h"
#include "base/ring.h"
#include "base/strings.h"
#include "fbs/stored_value.h"

namespace raylet {

namespace {

static_assert(kInlineValueBytesMax + (kReferencesInReplyMax + kRetainedInReplyMax) * ObjectId::kSize +
                  kRecordFieldBytesMax <=
              kRecordBytesMax);

// How a reply says what it retains.
enum Retained : uint8_t { kNone = 0, kAll = 1, kListed = 2 };

class Writer {
 public:
  explicit Writer(std::span<std::byte> out) : out_(out) {}
  template <class T>
  void Put(T value) {
    Raw(&value, sizeof value);
  }
  void Id(const ObjectId& id) { Raw(id.data(), ObjectId::kSize); }
  void Text(std::string_view text) {
    Put(static_cast<uint32_t>(text.size()));
    Raw(text.data(), text.size());
  }
  void Value(const ValueView& value) {
    Put(static_cast<uint8_t>(value.kind));
    if (value.kind == ValueView::Kind::kStored)
      Id(value.id);
    else
      Text(value.bytes);
  }
  bool Full() const { return at_ == out_.size(); }

 private:
  void Raw(const void* data, size_t size) {
    RAYLET_CHECK(size <= out_.size() - at_, "call record larger than its size");
    if (size != 0) std::memcpy(out_.data() + at_, data, size);
    at_ += size;
  }
  std::span<std::byte> out_;
  size_t at_ = 0;
};

// Reads until the bytes run out. ok() says whether every read was inside them.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> in) : in_(in) {}
  template <class T>
  T Get() {
    T value{};
    if (const std::byte* at = Take(sizeof value)) std::memcpy(&value, at, sizeof value);
    return value;
  }
  ObjectId Id() {
    const std::byte* at = Take(ObjectId::kSize);
    return at == nullptr ? ObjectId() : ObjectId::FromBinary({reinterpret_cast<const char*>(at), ObjectId::kSize});
  }
  std::string_view Text() {
    const auto size = Get<uint32_t>();
    const std::byte* at = Take(size);
    return at == nullptr ? std::string_view() : std::string_view(reinterpret_cast<const char*>(at), size);
  }
  ValueView Value() {
    ValueView value;
    const auto kind = Get<uint8_t>();
    if (kind > static_cast<uint8_t>(ValueView::Kind::kFailed)) ok_ = false;
    value.kind = ok_ ? static_cast<ValueView::Kind>(kind) : ValueView::Kind::kInline;
    if (value.kind == ValueView::Kind::kStored)
      value.id = Id();
    else
      value.bytes = Text();
    return value;
  }
  bool Finished() const { return ok_ && at_ == in_.size(); }
  bool ok() const { return ok_; }

 private:
  const std::byte* Take(size_t size) {
    if (!ok_ || size > in_.size() - at_) {
      ok_ = false;
      return nullptr;
    }
    const std::byte* at = in_.data() + at_;
    at_ += size;
    return at;
  }
  std::span<const std::byte> in_;
  size_t at_ = 0;
  bool ok_ = true;
};

size_t ValueBytes(const ValueView& value) {
  return 1 + (value.kind == ValueView::Kind::kStored ? ObjectId::kSize : 4 + value.bytes.size());
}

tl::unexpected<Error> Malformed(const char* what, size_t bytes) {
  return Fail(ErrorCode::kProtocolError, StrCat("malformed ", what, " record of ", bytes, " bytes"));
}

// `who` says whose value it is.
Result<void> CheckBounds(std::string_view who, const ValueView& value) {
  if (value.kind == ValueView::Kind::kInline && value.bytes.size() > kInlineValueBytesMax)
    return Fail(ErrorCode::kProtocolError, StrCat(who, " has ", value.bytes.size(), " inline bytes and the limit is ",
                                                  kInlineValueBytesMax, ": larger values go through the store"));
  if (value.kind == ValueView::Kind::kFailed && value.bytes.size() > kFailureBytesMax)
    return Fail(ErrorCode::kProtocolError, StrCat(who, " is a failure of ", value.bytes.size(),
                                                  " bytes and the limit is ", kFailureBytesMax, ": cut its texts"));
  return {};
}

}  // namespace

size_t CallRecordBytes(const CallRecord& record) {
  size_t bytes = 8 + 8 + ObjectId::kSize + 4 + 4 + record.function.size() + 4;
  for (const ValueView& argument : record.arguments) bytes += ValueBytes(argument);
  return bytes;
}

void WriteCallRecord(const CallRecord& record, std::span<std::byte> out) {
  Writer writer(out);
  writer.Put(record.call);
  writer.Put(record.lend);
  writer.Id(record.result_id);
  writer.Put(record.exception_retries);
  writer.Text(record.function);
  writer.Put(static_cast<uint32_t>(record.arguments.size()));
  for (const ValueView& argument : record.arguments) writer.Value(argument);
  RAYLET_CHECK(writer.Full(), "call record smaller than its size");
}

Result<void> ParseCallRecord(std::span<const std::byte> bytes, CallRecord& record) {
  Reader reader(bytes);
  record.call = reader.Get<uint64_t>();
  record.lend = reader.Get<uint64_t>();
  record.result_id = reader.Id();
  record.exception_retries = reader.Get<int32_t>();
  record.function = reader.Text();
  const auto count = reader.Get<uint32_t>();
  if (!reader.ok() || count > kCallArgumentsMax) return Malformed("call", bytes.size());
  if (record.function.size() > kNameBytesMax)
    return Fail(ErrorCode::kProtocolError,
                StrCat("a call names a function of ", record.function.size(), " bytes and the limit is ", kNameBytesMax,
                       ": choose a shorter name"));
  record.arguments.clear();
  size_t inline_bytes = 0;
  for (uint32_t i = 0; i < count && reader.ok(); ++i) {
    const ValueView& value = record.arguments.emplace_back(reader.Value());
    if (value.kind == ValueView::Kind::kStored) continue;
    inline_bytes += value.bytes.size();
    if (value.bytes.size() > kInlineValueBytesMax)
      RAYLET_RETURN_IF_ERROR(CheckBounds(StrCat("argument ", i + 1, " of a call"), value));
  }
  if (!reader.Finished()) return Malformed("call", bytes.size());
  if (inline_bytes > kInlineCallBytesMax)
    return Fail(ErrorCode::kProtocolError,
                StrCat("the arguments of a call have ", inline_bytes, " inline bytes and the limit is ",
                       kInlineCallBytesMax, ": some of them go through the store"));
  return {};
}

size_t ReplyRecordBytes(const ReplyRecord& record) {
  const bool listed = record.arguments_retained && !record.retained.empty();
  return 8 + 8 + 1 + ValueBytes(record.result) + 4 + record.references.size() +
         (listed ? 4 + record.retained.size() : 0);
}

void WriteReplyRecord(const ReplyRecord& record, std::span<std::byte> out) {
  Writer writer(out);
  writer.Put(record.call);
  writer.Put(record.lend);
  const bool listed = record.arguments_retained && !record.retained.empty();
  writer.Put<uint8_t>(listed ? kListed : record.arguments_retained ? kAll : kNone);
  writer.Value(record.result);
  writer.Text(record.references);
  if (listed) writer.Text(record.retained);
  RAYLET_CHECK(writer.Full(), "reply record smaller than its size");
}

Result<ReplyRecord> ParseReplyRecord(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  ReplyRecord record;
  record.call = reader.Get<uint64_t>();
  record.lend = reader.Get<uint64_t>();
  const auto retained = reader.Get<uint8_t>();
  record.arguments_retained = retained != kNone;
  record.result = reader.Value();
  record.references = reader.Text();
  if (retained == kListed) record.retained = reader.Text();
  if (!reader.Finished() || retained > kListed || record.references.size() % ObjectId::kSize != 0 ||
      record.retained.size() % ObjectId::kSize != 0 || (retained == kListed && record.retained.empty()))
    return Malformed("reply", bytes.size());
  RAYLET_RETURN_IF_ERROR(CheckBounds("the result of a call", record.result));
  return record;
}

void WriteLendRecord(LendId lend, std::span<std::byte, 8> out) { std::memcpy(out.data(), &lend, sizeof lend); }

Result<LendId> ParseLendRecord(std::span<const std::byte> bytes) {
  LendId lend = 0;
  if (bytes.size() != sizeof lend) return Malformed("lend", bytes.size());
  std::memcpy(&lend, bytes.data(), sizeof lend);
  return lend;
}

size_t ChannelReplyRingOffset() { return RingBytes(kChannelRingBytes); }

ChannelRings RingsOf(std::span<std::byte> channel) {
  const size_t bytes = RingBytes(kChannelRingBytes);
  return {channel.first(bytes), channel.subspan(ChannelReplyRingOffset(), bytes)};
}

void InitChannel(std::span<std::byte> channel) {
  const ChannelRings rings = RingsOf(channel);
  InitRing(rings.calls, kChannelRingBytes);
  InitRing(rings.replies, kChannelRingBytes);
}
size_t ChannelBytes() { return 2 * RingBytes(kChannelRingBytes); }

}  // namespace raylet
