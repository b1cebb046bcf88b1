#include "fbs/object_notice.h"

#include <cstring>

#include "base/strings.h"
#include "fbs/messages.h"

namespace raylet {

namespace {

template <class Number>
Number NumberAt(const void* place) {
  Number number{};
  std::memcpy(&number, place, sizeof number);
  return number;
}

template <class Number>
void AppendNumber(Bytes& out, Number number) {
  const auto bytes = std::as_bytes(std::span(&number, 1));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

}  // namespace

void AppendNotice(Bytes& out, const ObjectNotice& notice) {
  wire::ObjectNoticeT message;
  message.id = std::make_unique<wire::Id20>(ToWire(notice.id));
  message.data_bytes = notice.data_bytes;
  message.metadata_bytes = notice.metadata_bytes;
  const Bytes body = Encode(message);
  AppendNumber(out, static_cast<uint64_t>(sizeof(uint32_t) + body.size()));
  AppendNumber(out, static_cast<uint32_t>(body.size()));
  out.insert(out.end(), body.begin(), body.end());
}

Result<size_t> NoticeContentBytes(std::span<const std::byte> length) {
  if (length.size() < kNoticeLengthBytes)
    return Fail(ErrorCode::kProtocolError, StrCat("the length of a notice has 8 bytes, and not ", length.size()));
  const auto bytes = NumberAt<uint64_t>(length.data());
  if (bytes < sizeof(uint32_t) || bytes > kNoticeContentBytesMax)
    return Fail(ErrorCode::kProtocolError, StrCat("no notice has ", bytes, " bytes: this is not where one begins"));
  return static_cast<size_t>(bytes);
}

Result<ObjectNotice> ParseNotice(std::span<const std::byte> content) {
  if (content.size() < sizeof(uint32_t) || NumberAt<uint32_t>(content.data()) != content.size() - sizeof(uint32_t))
    return Fail(ErrorCode::kProtocolError, StrCat("these ", content.size(), " bytes are not one notice"));
  const auto message = Parse<wire::ObjectNoticeT>(content.subspan(sizeof(uint32_t)));
  if (!message) return Fail(message.error());
  const ObjectNotice notice{FromWire<ObjectId>(*message->id), message->data_bytes, message->metadata_bytes};
  if (notice.data_bytes < kGoneSize || notice.metadata_bytes < kGoneSize ||
      (notice.data_bytes < 0) != (notice.metadata_bytes < 0))
    return Fail(ErrorCode::kProtocolError, StrCat("no object has ", notice.data_bytes, " bytes of data and ",
                                                  notice.metadata_bytes, " of metadata"));
  return notice;
}

Result<ObjectNotice> ParseNoticeAt(const uint8_t* content) {
  const auto bytes = NumberAt<uint32_t>(content);
  if (bytes > kNoticeContentBytesMax)
    return Fail(ErrorCode::kProtocolError, StrCat("no notice has ", bytes, " bytes: this is not where one begins"));
  return ParseNotice(std::as_bytes(std::span(content, sizeof(uint32_t) + bytes)));
}

}  // namespace raylet
