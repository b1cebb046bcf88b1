// StuckWork: the causes for which ready tasks wait and which do not pass by themselves, and when to tell the drivers.
// Two causes count: a resource that no machine has, and a pool without room for another worker. Pure; the raylet's loop
// thread. Always holds: a driver hears of a cause once it has lasted for kStuckAfter, and again only after it was
// absent for as long. A job has kStuckCausesMax causes at most; `raylet status` shows the rest.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/clock.h"
#include "raylet/scheduling/cluster_view.h"
#include "raylet/scheduling/scheduler.h"

namespace raylet {

constexpr Duration kStuckAfter = std::chrono::seconds(5);
constexpr Duration kStuckLook = std::chrono::seconds(1);  // how often the raylet looks while tasks are ready
constexpr size_t kStuckCausesMax = 16;

struct StuckCause {
  JobId job = 0;
  std::string what;       // the cause itself: stays the same while the number of tasks changes
  std::string sentence;   // for people, with the remedy
  uint64_t oldest = 0;    // the first of the tasks that wait for it
  bool may_pass = false;  // tasks may still get through, one by one; while they do, this is no cause
};

// The causes of now.
std::vector<StuckCause> FindStuckCauses(const Scheduler& scheduler, const ClusterView& view);

class StuckWork {
 public:
  struct Notice {
    JobId job = 0;
    std::string sentence;
  };
  // The notices that are due at `now`, when these are the `causes`.
  std::vector<Notice> Look(const std::vector<StuckCause>& causes, TimePoint now);
  bool Empty() const { return causes_.empty(); }  // there is no cause to remember
  size_t size() const { return causes_.size(); }

 private:
  struct Known {
    TimePoint since;
    TimePoint seen;
    uint64_t oldest = 0;
    bool told = false;
  };
  std::map<std::pair<JobId, std::string>, Known> causes_;
};

}  // namespace raylet
