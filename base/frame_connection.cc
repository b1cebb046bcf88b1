#include "base/frame_connection.h"

#include <sys/socket.h>

#include <array>
#include <utility>

#include "base/strings.h"
#include "base/unix_socket.h"

namespace raylet {
namespace {

constexpr Duration kRetryPause = std::chrono::milliseconds(5);
constexpr size_t kReadBytes = size_t{64} << 10;
constexpr size_t kUntakenFdsMax = 64;  // received, and not yet taken by the caller

// Nothing more can go either way: a message that was sent in part or made no sense has spoiled the
// stream.
void Break(const UniqueFd& fd) { ::shutdown(fd.get(), SHUT_RDWR); }

}  // namespace

Result<FrameConnection> FrameConnection::Connect(const std::string& path, Deadline deadline, bool retry) {
  for (;;) {
    auto fd = ConnectUnix(path);
    if (fd) return FrameConnection(*std::move(fd));
    const bool busy = fd.error().code == ErrorCode::kFull;  // somebody listens and cannot keep up
    const bool may_come = retry && fd.error().code == ErrorCode::kNotRunning;
    if ((!busy && !may_come) || deadline.Passed()) return Fail(std::move(fd).error());
    const timespec pause{0, static_cast<long>(deadline.Left(kRetryPause).count())};
    ::nanosleep(&pause, nullptr);
  }
}

FrameConnection::FrameConnection(FrameConnection&& other) noexcept
    : fd_(std::move(other.fd_)),
      rest_(std::exchange(other.rest_, {})),
      parser_(std::exchange(other.parser_, FrameParser())),
      fds_(std::exchange(other.fds_, {})),
      bytes_sent_(other.bytes_sent()),
      bytes_received_(other.bytes_received()) {}

FrameConnection& FrameConnection::operator=(FrameConnection&& other) noexcept {
  if (this != &other) {
    fd_ = std::move(other.fd_);
    rest_ = std::exchange(other.rest_, {});
    parser_ = std::exchange(other.parser_, FrameParser());
    fds_ = std::exchange(other.fds_, {});
    bytes_sent_.store(other.bytes_sent(), std::memory_order_relaxed);
    bytes_received_.store(other.bytes_received(), std::memory_order_relaxed);
  }
  return *this;
}

Result<std::vector<std::byte>> FrameConnection::FrameOf(uint16_t type, uint64_t request_id,
                                                        std::span<const std::byte> body) const {
  if (!fd_) return Fail(ErrorCode::kDisconnected, "this connection was never opened, or was moved away");
  if (body.size() > kFrameBodyBytesMax) {
    return Fail(ErrorCode::kTooLarge, StrCat("a message of type ", type, " has ", body.size(), " bytes; at most ",
                                             kFrameBodyBytesMax, " go in one"));
  }
  std::vector<std::byte> bytes;
  bytes.reserve(sizeof(FrameHeader) + body.size());
  AppendFrame(bytes, type, request_id, body);
  return bytes;
}

Result<bool> FrameConnection::TrySend(uint16_t type, uint64_t request_id, std::span<const std::byte> body) {
  if (const auto flushed = Flush(); !flushed || !*flushed) return flushed;
  auto bytes = FrameOf(type, request_id, body);
  if (!bytes) return Fail(std::move(bytes).error());
  rest_ = *std::move(bytes);
  const size_t whole = rest_.size();
  if (const auto flushed = Flush(); !flushed) return flushed;
  if (rest_.size() < whole) return true;
  rest_.clear();
  return false;
}

Result<bool> FrameConnection::Flush() {
  std::span<const std::byte> left(rest_);
  Result<size_t> sent = 0;
  while (!left.empty()) {
    sent = SendSome(fd_.get(), left, {});
    if (!sent || *sent == 0) break;
    left = left.subspan(*sent);
    bytes_sent_.fetch_add(*sent, std::memory_order_relaxed);
  }
  rest_.erase(rest_.begin(), rest_.end() - static_cast<std::ptrdiff_t>(left.size()));
  if (!sent) return Fail(std::move(sent).error());
  return rest_.empty();
}

Result<void> FrameConnection::Send(uint16_t type, uint64_t request_id, std::span<const std::byte> body,
                                   Deadline deadline, std::span<const int> fds) {
  auto frame = FrameOf(type, request_id, body);
  if (!frame) return Fail(std::move(frame).error());
  const std::vector<std::byte> bytes = *std::move(frame);
  std::span<const std::byte> left(bytes);
  while (!left.empty()) {
    const auto sent = SendSome(fd_.get(), left, fds);
    if (!sent) return Fail(sent.error());
    if (*sent > 0) {
      fds = {};  // they went with the first byte
      left = left.subspan(*sent);
      bytes_sent_.fetch_add(*sent, std::memory_order_relaxed);
      continue;
    }
    const auto writable = WaitWritable(fd_.get(), deadline);
    if (!writable) return Fail(writable.error());
    if (!*writable) {
      const bool began = left.size() < bytes.size();
      if (began) Break(fd_);
      return Fail(ErrorCode::kTimedOut,
                  StrCat("the daemon took ", bytes.size() - left.size(), " of ", bytes.size(),
                         " bytes of a message before the deadline", began ? ": this connection is closed" : ""));
    }
  }
  return {};
}

Result<std::optional<Frame>> FrameConnection::Receive(Deadline deadline) {
  if (!fd_) return Fail(ErrorCode::kDisconnected, "this connection was never opened, or was moved away");
  std::array<std::byte, kReadBytes> buffer;
  for (;;) {
    auto frame = parser_.Next();
    if (!frame) Break(fd_);
    if (!frame || frame->has_value()) return frame;
    const auto received = ReceiveSome(fd_.get(), buffer, fds_);
    if (!received) {
      Break(fd_);
      return Fail(received.error());
    }
    if (received->would_block) {
      const auto readable = WaitReadable(fd_.get(), deadline);
      if (!readable) return Fail(readable.error());
      if (!*readable) return std::nullopt;
      continue;
    }
    if (received->bytes == 0) return Fail(ErrorCode::kDisconnected, "the daemon has closed the connection");
    bytes_received_.fetch_add(received->bytes, std::memory_order_relaxed);
    parser_.Feed(std::span(buffer).first(received->bytes));
    if (fds_.size() > kUntakenFdsMax) {
      Break(fd_);
      return Fail(ErrorCode::kProtocolError, StrCat(fds_.size(), " descriptors were received and not taken; at most ",
                                                    kUntakenFdsMax, " may wait"));
    }
  }
}

Result<Frame> FrameConnection::Greet(uint16_t type, uint64_t request_id, std::span<const std::byte> body,
                                     Deadline deadline, std::span<const int> fds) {
  const auto sent = Send(type, request_id, body, deadline, fds);
  auto frame = Receive(sent ? deadline : Deadline::AfterMs(0));
  if (frame && frame->has_value()) return **std::move(frame);
  if (!sent) return Fail(sent.error());
  if (!frame) return Fail(std::move(frame).error());
  return Fail(ErrorCode::kTimedOut, "the daemon did not answer in time");
}

bool FrameConnection::PeerGone() const { return !fd_ || PeerClosed(fd_.get()); }

}  // namespace raylet
