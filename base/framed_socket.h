// FramedSocket: one connected socket of a daemon. Carries frames and descriptors both ways, on the loop's thread, and
// never blocks. Its owner is a session.
// Always holds: a socket past its bounds (a frame too long, a reader that never reads) closes itself. It says why once,
// through OnClosed; no callback follows. Long before that, OnBehind tells the owner of a slow reader, so that the owner
// can send less.
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
  size_t received_fds_max = 8;                 // descriptors that the owner has not taken yet
  // The reader is behind once more bytes than the first limit wait for it, until no more than the
  // second limit wait.
  size_t behind_bytes = SIZE_MAX;
  size_t caught_up_bytes = 0;
  // Then the loop's other sockets have their turn.
  int reads_per_turn = 8;
  size_t bytes_per_read = size_t{64} << 10;  // no more than this
};

// Makes one attempt to send a frame through a connection that is refused, and is closed next. A process that cannot
// take it sees only the end.
void SendRefusal(int fd, uint16_t type, std::span<const std::byte> body);

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
    // Called from inside Send too. Must neither close nor destroy the socket.
    virtual void OnBehind(bool /*behind*/) {}
    // Called from inside the function that closes, while the other side does not see the end yet.
    // Must send nothing.
    virtual void OnClosing(const Error& /*reason*/) {}
  };

  // `handler` outlives the socket.
  FramedSocket(Loop& loop, UniqueFd fd, FramedSocketLimits limits, Handler& handler);
  ~FramedSocket();  // no callback afterwards; makes one attempt to send the queue

  // Queues a frame, which leaves at the end of the loop's turn. Duplicates the descriptors. Does
  // nothing after a close.
  void Send(uint16_t type, uint64_t request_id, std::span<const std::byte> body, std::span<const int> fds = {});
  void Close(Error reason);  // makes one attempt to send the queue, then drops it
  // While it does not read, no frame comes, and the other side's end shows only in what is sent. At first it reads.
  void SetReading(bool reads);
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
