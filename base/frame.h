// Frames: length, type, body, on every Unix socket and TCP connection. Pure: bytes in, frames out;
// no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"

namespace raylet {

struct FrameHeader {
  uint32_t body_bytes = 0;
  uint16_t type = 0;
  uint16_t flags = 0;       // always zero today; a reader ignores unknown bits
  uint64_t request_id = 0;  // echoed in the reply; 0 where no reply is wanted
};
static_assert(sizeof(FrameHeader) == 16);

constexpr size_t kFrameBodyBytesMax = size_t{16} << 20;

struct Frame {
  FrameHeader header;
  std::vector<std::byte> body;
};

// FrameParser: parses a stream incrementally. Feed it the bytes that the socket gave, in any
// pieces, and take whole frames out. A header that announces more than body_bytes_max is a
// kProtocolError; the parser then stays failed.
class FrameParser {
 public:
  explicit FrameParser(size_t body_bytes_max = kFrameBodyBytesMax) : body_bytes_max_(body_bytes_max) {}

  void Feed(std::span<const std::byte> bytes);
  // The next whole frame, nothing while it is incomplete, or why the stream is unusable. Holds at
  // most one frame's worth of memory beyond the bytes fed.
  Result<std::optional<Frame>> Next();
  bool HasNext() const;  // Next would return a frame, or fail, without being fed more
  size_t buffered_bytes() const { return buffer_.size() - start_; }

 private:
  size_t body_bytes_max_;
  std::vector<std::byte> buffer_;
  size_t start_ = 0;  // first byte of buffer_ not yet taken
  bool failed_ = false;
};

// The 16 bytes that precede a body.
void AppendFrame(std::vector<std::byte>& out, uint16_t type, uint64_t request_id, std::span<const std::byte> body);

}  // namespace raylet
