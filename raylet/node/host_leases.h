// HostLeases: the leases under which actors of other homes serve here, in the page that all
// processes of this machine read. A service; it owns HomeLeases and the page. Owned by the Raylet;
// loop thread only.
// Always holds: the page says what HomeLeases says. It needs no word of this raylet for a lease to
// run out.
#pragma once

#include "base/clock.h"
#include "base/unique_fd.h"
#include "fbs/lease_page.h"
#include "raylet/actors/home_leases.h"

namespace raylet {

class HostLeases {
 public:
  explicit HostLeases(const Clock& clock) : clock_(clock) {}
  Result<void> JoinCluster();                        // before any home is heard
  const UniqueFd& page() const { return readers_; }  // for the processes; invalid: without other machines

  // As PeerLinks::Handler::OnPeerVouched.
  void Vouched(const NodeId& home, TimePoint until);
  void Begin(const NodeId& home);  // an actor of it comes here
  LeaseNumber Of(const NodeId& home) const { return leases_.Of(home); }
  bool Holds(LeaseNumber lease) const { return leases_.Holds(lease, clock_.Now()); }

 private:
  const Clock& clock_;
  HomeLeases leases_;
  LeasePage page_;
  UniqueFd readers_;
};

}  // namespace raylet
