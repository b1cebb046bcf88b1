#include "base/frame.h"

#include <bit>
#include <cstring>

#include "base/check.h"
#include "base/strings.h"

namespace raylet {
namespace {

static_assert(std::endian::native == std::endian::little, "headers travel as they lie in memory, little-endian");

constexpr size_t kKeptBufferBytes = size_t{256} << 10;  // a buffer that one large frame enlarged is freed

}  // namespace

void FrameParser::Feed(std::span<const std::byte> bytes) {
  if (failed_) return;
  // Moves the remaining bytes to the front once they are no more than the bytes taken. Each byte
  // then moves a bounded number of times.
  if (start_ > 0 && buffered_bytes() <= start_) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(start_));
    start_ = 0;
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

Result<std::optional<Frame>> FrameParser::Next() {
  if (failed_) return Fail(ErrorCode::kProtocolError, "this stream of frames has failed before");
  if (buffered_bytes() < sizeof(FrameHeader)) return std::nullopt;
  Frame frame;
  std::memcpy(&frame.header, buffer_.data() + start_, sizeof(FrameHeader));
  if (frame.header.body_bytes > body_bytes_max_) {
    failed_ = true;
    std::vector<std::byte>().swap(buffer_);
    start_ = 0;
    return Fail(ErrorCode::kProtocolError,
                StrCat("a frame of type ", frame.header.type, " announces ", frame.header.body_bytes,
                       " bytes; at most ", body_bytes_max_, " are taken"));
  }
  if (buffered_bytes() - sizeof(FrameHeader) < frame.header.body_bytes) return std::nullopt;
  const auto body = buffer_.begin() + static_cast<std::ptrdiff_t>(start_ + sizeof(FrameHeader));
  frame.body.assign(body, body + frame.header.body_bytes);
  start_ += sizeof(FrameHeader) + frame.header.body_bytes;
  if (start_ == buffer_.size()) {
    if (buffer_.capacity() > kKeptBufferBytes) {
      std::vector<std::byte>().swap(buffer_);
    } else {
      buffer_.clear();
    }
    start_ = 0;
  }
  return std::optional<Frame>(std::move(frame));
}

bool FrameParser::HasNext() const {
  if (failed_) return true;
  FrameHeader header;
  if (buffered_bytes() < sizeof header) return false;
  std::memcpy(&header, buffer_.data() + start_, sizeof header);
  return header.body_bytes > body_bytes_max_ || buffered_bytes() - sizeof header >= header.body_bytes;
}

void AppendFrame(std::vector<std::byte>& out, uint16_t type, uint64_t request_id, std::span<const std::byte> body) {
  RAYLET_CHECK(body.size() <= kFrameBodyBytesMax, "a frame of type ", type, " has ", body.size(), " bytes");
  FrameHeader header;
  header.body_bytes = static_cast<uint32_t>(body.size());
  header.type = type;
  header.request_id = request_id;
  const size_t at = out.size();
  out.resize(at + sizeof header + body.size());
  std::memcpy(out.data() + at, &header, sizeof header);
  if (!body.empty()) std::memcpy(out.data() + at + sizeof header, body.data(), body.size());
}

}  // namespace raylet
