// FrameConnection: the client's end of a Unix socket to a daemon. Sends and receives whole frames
// with deadlines, on the caller's thread. Two senders or two receivers need a lock of their own;
// one sender beside one receiver does not.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/frame.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace raylet {

class FrameConnection {
 public:
  FrameConnection() = default;
  explicit FrameConnection(UniqueFd fd) : fd_(std::move(fd)) {}
  // kNotRunning when nobody listens. With `retry` it tries again until the deadline.
  static Result<FrameConnection> Connect(const std::string& path, Deadline deadline, bool retry);
  FrameConnection(FrameConnection&&) noexcept;
  FrameConnection& operator=(FrameConnection&&) noexcept;

  Result<void> Send(uint16_t type, uint64_t request_id, std::span<const std::byte> body, Deadline deadline,
                    std::span<const int> fds = {});
  // As Send, but it does not wait. It keeps the rest of a message that the socket took a part of. The rest goes with
  // Flush, or ahead of the next message. False: the socket took nothing. No Send may follow before the rest has gone.
  Result<bool> TrySend(uint16_t type, uint64_t request_id, std::span<const std::byte> body);
  // True when nothing is left of earlier messages. It does not wait.
  Result<bool> Flush();
  // The next frame, or nothing at the deadline. Appends received descriptors to fds().
  Result<std::optional<Frame>> Receive(Deadline deadline);
  // Sends the first frame of a connection and returns the next one that comes. A daemon that refuses a connection says
  // why and closes it, so its frame is read even where the send fails. kTimedOut when none comes.
  Result<Frame> Greet(uint16_t type, uint64_t request_id, std::span<const std::byte> body, Deadline deadline,
                      std::span<const int> fds = {});
  bool HasReceived() const { return parser_.HasNext(); }  // Receive would return at once
  std::vector<UniqueFd>& fds() { return fds_; }

  int fd() const { return fd_.get(); }
  bool PeerGone() const;  // the other side has closed; reads nothing
  uint64_t bytes_sent() const { return bytes_sent_.load(std::memory_order_relaxed); }
  uint64_t bytes_received() const { return bytes_received_.load(std::memory_order_relaxed); }

 private:
  Result<std::vector<std::byte>> FrameOf(uint16_t type, uint64_t request_id, std::span<const std::byte> body) const;

  UniqueFd fd_;
  std::vector<std::byte> rest_;  // of a message that the socket has taken a part of
  FrameParser parser_;
  std::vector<UniqueFd> fds_;
  std::atomic<uint64_t> bytes_sent_{0};  // counted to prove that no parameter byte goes through a socket
  std::atomic<uint64_t> bytes_received_{0};
};

}  // namespace raylet
