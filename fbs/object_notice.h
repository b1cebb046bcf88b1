// ObjectNotice: what a subscription says of one object, and its form on the subscription's socket. There, 8 bytes have
// the length of the content. The content is 4 bytes with the length of a message, and the message. So it can be read
// without its length, as Plasma's DecodeNotifications wants it. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "fbs/ids.h"

namespace raylet {

struct ObjectNotice {
  ObjectId id;
  int64_t data_bytes = 0, metadata_bytes = 0;
  bool gone() const { return data_bytes < 0; }
  friend bool operator==(const ObjectNotice&, const ObjectNotice&) = default;
};
constexpr int64_t kGoneSize = -1;  // of data and of metadata
inline ObjectNotice GoneNotice(const ObjectId& id) { return {id, kGoneSize, kGoneSize}; }

constexpr size_t kNoticeLengthBytes = 8;        // before the content
constexpr size_t kNoticeContentBytesMax = 512;  // more than any notice has

void AppendNotice(std::vector<std::byte>& out, const ObjectNotice& notice);
// The length of the content that follows these 8 bytes. kProtocolError when no notice is as long.
Result<size_t> NoticeContentBytes(std::span<const std::byte> length);
Result<ObjectNotice> ParseNotice(std::span<const std::byte> content);
// The same where the caller does not know the length: believes the 4 bytes that it begins with.
Result<ObjectNotice> ParseNoticeAt(const uint8_t* content);

}  // namespace raylet
