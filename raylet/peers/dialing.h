// PeerDialing: opens the connections that PeerDialer asks for, as soon as each is due. Owned by PeerLinks; loop thread
// only.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/loop.h"
#include "raylet/peers/connections.h"
#include "raylet/peers/dialer.h"

namespace raylet {

class PeerDialing {
 public:
  using OnVerdict = std::function<void(const PeerDialer::Verdict&)>;

  // All references outlive it. The owner calls Now every `period`, so a timer serves only dials that are due before.
  PeerDialing(Loop& loop, const Clock& clock, PeerDialer& dialer, PeerConnections& connections, Duration period,
              OnVerdict on_verdict);
  ~PeerDialing() { *alive_ = false; }

  void Now();
  void Soon();  // in the next turn of the loop
  void Stop();

 private:
  Loop& loop_;
  const Clock& clock_;
  PeerDialer& dialer_;
  PeerConnections& connections_;
  const Duration period_;
  const OnVerdict on_verdict_;
  Timer timer_;
  bool posted_ = false;
  bool stopped_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace raylet
