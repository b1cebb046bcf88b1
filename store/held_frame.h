// HeldFrames: a client's messages that wait behind its post, for which the store has no room yet. Owned by a
// ClientSession; loop thread only. Always holds: the socket gives no frame while the post waits.
#pragma once

#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/frame.h"
#include "base/framed_socket.h"
#include "base/unix_socket.h"

namespace raylet::store {

class HeldFrames {
 public:
  void Begin(FramedSocket& socket, TimePoint until) {
    until_ = until;
    socket.SetReading(false);
  }
  // The frame that has come first behind the post.
  void Keep(const Frame& frame) { first_ = frame; }
  // The socket gives frames again, after the one that was kept.
  std::optional<Frame> End(FramedSocket& socket) {
    socket.SetReading(true);
    return std::exchange(first_, std::nullopt);
  }
  // The time is over, or the client has gone.
  bool Over(const FramedSocket& socket, TimePoint now) const {
    return now >= until_ || socket.closed() || PeerClosed(socket.fd());
  }

 private:
  std::optional<Frame> first_;
  TimePoint until_{};
};

}  // namespace raylet::store
