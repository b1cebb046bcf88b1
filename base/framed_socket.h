// FramedSocket: one connected socket of a daemon: frames and descriptors in and out, on the loop's thread, never
// blocking. Its owner is a session. Out of bounds (a frame that is too long, a reader that never reads) it closes
// itself and says why, once, through OnClosed; nothing is called after that. Whoever can send less to a reader that is
// behind hears of it through OnBehind, long before that.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/frame.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace raylet {

struct FramedSocketLimits {
  size_t body_bytes_max = kFrameBodyBytesMax;
  size_t queued_bytes_max = size_t{64} << 20;  // unsent output; past this the reader is a kSlowConsumer
  size_t received_fds_max = 8;                 // descriptors not yet taken
  // The reader is behind once more than the first waits for it, until no more than the second does.
  size_t behind_bytes = SIZE_MAX;
  size_t caught_up_bytes = 0;
};

class FramedSocket {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    // One whole frame. `fds` holds all descriptors received so far and not yet taken. Take those
    // that belong to this frame.
    virtual void OnFrame(const Frame& frame, std::vector<UniqueFd>& fds) = 0;
    // Called once, from the loop and never from inside Send or Close. The handler may destroy the
    // socket here.
    virtual void OnClosed(const Error& reason) = 0;
    // From inside Send, too. Neither closes nor destroys the socket.
    virtual void OnBehind(bool /*behind*/) {}
    // From inside whatever closes it, while the other side does not see its end yet. Sends nothing.
    virtual void OnClosing(const Error& /*reason*/) {}
  };

  // `handler` outlives the socket.
  FramedSocket(Loop& loop, UniqueFd fd, FramedSocketLimits limits, Handler& handler);
  ~FramedSocket();  // no callback afterwards; makes one attempt to send the queue

  // Queues a frame, which leaves at the end of the loop's turn. Duplicates the descriptors. Does
  // nothing after a close.
  void Send(uint16_t type, uint64_t request_id, std::span<const std::byte> body, std::span<const int> fds = {});
  void Close(Error reason);  // makes one attempt to send the queue, then drops it
  bool closed() const;
  int fd() const;
  size_t queued_bytes() const;  // not taken by the kernel yet
  uint64_t bytes_sent() const;
  uint64_t bytes_received() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // kept alive by callbacks under way
};

}  // namespace raylet
