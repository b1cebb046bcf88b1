// HomeLeases: until when actors of other homes may serve at this host. An actor's home may start it
// elsewhere once it calls this host dead, and the lease ends before. Pure; owned by HostLeases; loop
// thread only.
// Always holds: a home has one lease for all its actors here, from the first of them to the end of
// the session with it. A lease that has ended never holds again, for the home may have replaced
// these incarnations. Its number waits until all other numbers were used.
#pragma once

#include <map>
#include <optional>
#include <unordered_map>

#include "base/clock.h"
#include "fbs/ids.h"
#include "fbs/lease_page.h"

namespace raylet {

// The lease of homes beyond the number of leases: it never holds, and their actors do not serve.
constexpr LeaseNumber kNoLeaseLeft = kLeasesMax - 1;

class HomeLeases {
 public:
  struct Word {  // for the lease page
    LeaseNumber lease = 0;
    TimePoint until;
  };

  // That home does not call this host dead before `until`. Nothing where no actor of it is here.
  std::optional<Word> Renew(const NodeId& home, TimePoint until);
  // An actor of that home comes here.
  Word Begin(const NodeId& home);
  // The session with that home is about to end.
  std::optional<Word> End(const NodeId& home);

  LeaseNumber Of(const NodeId& home) const;            // one that never holds where no actor of it is here
  bool Holds(LeaseNumber lease, TimePoint now) const;  // 0 always does

 private:
  struct Home {
    TimePoint until;
    LeaseNumber lease = 0;  // 0: no actor of it has come yet
  };
  LeaseNumber NewNumber();

  std::map<NodeId, Home> homes_;
  std::unordered_map<LeaseNumber, TimePoint> until_;  // of homes_, by number
  LeaseNumber next_ = 1;
};

}  // namespace raylet
