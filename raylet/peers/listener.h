// PeerListener: accepts the connections to this raylet's address, and logs those that end without a proof. Owned by
// PeerLinks; loop thread only.
#pragma once

#include <cstdint>
#include <functional>

#include "base/clock.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/tcp_socket.h"
#include "base/unique_fd.h"
#include "raylet/peers/connection.h"

namespace raylet {

class PeerListener {
 public:
  using Accepted = std::function<void(UniqueFd fd, const TcpAddress& remote)>;

  // Both outlive it.
  PeerListener(Loop& loop, const Clock& clock, Accepted accepted)
      : loop_(loop), clock_(clock), accepted_(std::move(accepted)) {}

  // kInvalid for an address that stands for all of this machine.
  Result<void> Listen(const TcpAddress& address);
  void Stop();
  const TcpAddress& address() const { return address_; }
  // A connection that was accepted has ended before it was open. Warns once a second at most.
  void LogEnd(const PeerConnection& connection, const Error& reason);

 private:
  void AcceptAll();

  Loop& loop_;
  const Clock& clock_;
  const Accepted accepted_;
  TcpAddress address_;
  UniqueFd fd_;
  FdWatcher watcher_;  // after fd_: stops before it closes
  Timer pause_;
  TimePoint logged_at_;
  uint64_t unlogged_ = 0;
};

}  // namespace raylet
