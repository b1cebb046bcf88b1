#include "raylet/peers/dialing.h"

#include <chrono>
#include <utility>

namespace raylet {

PeerDialing::PeerDialing(Loop& loop, const Clock& clock, PeerDialer& dialer, PeerConnections& connections,
                         Duration period, OnVerdict on_verdict)
    : loop_(loop),
      clock_(clock),
      dialer_(dialer),
      connections_(connections),
      period_(period),
      on_verdict_(std::move(on_verdict)) {}

void PeerDialing::Soon() {
  if (std::exchange(posted_, true)) return;
  loop_.Post([this, alive = alive_] {
    if (!*alive) return;
    posted_ = false;
    Now();
  });
}

void PeerDialing::Stop() {
  stopped_ = true;
  timer_.Cancel();
}

void PeerDialing::Now() {
  if (stopped_) return;
  const TimePoint now = clock_.Now();
  const PeerDialer::Due due = dialer_.TakeDue();
  timer_.Cancel();
  if (due.next != TimePoint::max() && due.next - now < period_) {
    const auto delay =
        std::chrono::duration_cast<std::chrono::milliseconds>(due.next - now) + std::chrono::milliseconds(1);
    timer_ = Timer(loop_, delay, {}, [this] { Now(); });
  }
  for (const std::string& address : due.addresses) {
    const auto attempt = dialer_.Begin(address);
    if (!attempt) continue;
    auto fd = ConnectTcp(attempt->address);
    if (!fd) {
      on_verdict_(dialer_.NotOpened(address, fd.error()));
      continue;
    }
    PeerConnections::Link& link = connections_.Dial(std::move(*fd), attempt->address, wire::PeerRole::Session);
    link.connection->ConnectUntil(attempt->connect_until);
    link.dialed = address;
    dialer_.Opened(address, link.connection->id());
  }
}

}  // namespace raylet
