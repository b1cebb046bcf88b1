// StuckDesk: tells the drivers of work that is stuck. It looks now and then while tasks are ready, and while there is a
// cause to remember. A desk. Owned by the TaskDesk, whose scheduler knows the tasks; loop thread only.
// Always holds: an idle raylet does not look.
#pragma once

#include <functional>
#include <vector>

#include "base/awake_clock.h"
#include "raylet/node/services.h"
#include "raylet/scheduling/scheduler.h"
#include "raylet/scheduling/stuck_work.h"

namespace raylet {

class StuckDesk {
 public:
  // All outlive it.
  using Causes = std::function<std::vector<StuckCause>()>;
  // `more` tells of work that the scheduler does not know.
  StuckDesk(const Scheduler& scheduler, const Services& services, Causes more);

  void Look();  // from now on, where there is something to look at; called whenever tasks may have become ready

 private:
  void Tell();

  Loop& loop_;
  const AwakeClock clock_;  // a stall of this raylet makes no work stuck
  const Scheduler& scheduler_;
  PeerPost& post_;
  ProcessDoor& door_;
  Jobs& jobs_;
  const Causes more_;
  StuckWork stuck_;
  Timer timer_;  // while there is something to look at
};

}  // namespace raylet
