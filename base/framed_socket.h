// FramedSocket: one connected socket of a daemon: frames and descriptors in and out, on the loop's thread, never
// blocking. Its owner is a session. Out of bounds (a frame that is too long, a reader that never reads) it closes
// itself and says why, once, through OnClosed; nothing is called after that.
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
};

class FramedSocket {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    // One whole frame. `fds` holds all descriptors received so far and not yet taken; take what belongs to this frame.
    virtual void OnFrame(const Frame& frame, std::vector<UniqueFd>& fds) = 0;
    // Once, from the loop and never from inside Send or Close. The handler may destroy the socket here.
    virtual void OnClosed(const Error& reason) = 0;
  };

  // `handler` outlives the socket.
  FramedSocket(Loop& loop, UniqueFd fd, FramedSocketLimits limits, Handler& handler);
  ~FramedSocket();  // no callback afterwards; what is queued gets one attempt

  // Queues a frame, which leaves at the end of the loop's turn; descriptors are duplicated. After a close it does
  // nothing.
  void Send(uint16_t type, uint64_t request_id, std::span<const std::byte> body, std::span<const int> fds = {});
  void Close(Error reason);  // drops what is queued after one attempt to send it
  bool closed() const;
  int fd() const;
  uint64_t bytes_sent() const;
  uint64_t bytes_received() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // kept alive by callbacks under way
};

}  // namespace raylet
