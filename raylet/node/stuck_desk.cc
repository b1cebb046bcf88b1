#include "raylet/node/stuck_desk.h"

#include <utility>

#include "raylet/node/driver_warnings.h"

namespace raylet {

StuckDesk::StuckDesk(const Scheduler& scheduler, const Services& services, Causes more)
    : loop_(services.loop),
      clock_(services.clock, 2 * kStuckLook),
      scheduler_(scheduler),
      post_(services.post),
      door_(services.door),
      jobs_(services.jobs),
      more_(std::move(more)) {}

void StuckDesk::Look() {
  if (timer_ || (scheduler_.queue().size() == 0 && stuck_.Empty() && more_().empty())) return;
  timer_ = Timer(loop_, std::chrono::duration_cast<std::chrono::milliseconds>(kStuckLook), {}, [this] {
    timer_.Cancel();
    Tell();
    Look();
  });
}

void StuckDesk::Tell() {
  std::vector<StuckCause> causes = FindStuckCauses(scheduler_, post_.view());
  for (StuckCause& cause : more_()) causes.push_back(std::move(cause));
  for (const auto& [job, sentence] : stuck_.Look(causes, clock_.Now())) WarnDriver(jobs_, door_, post_, job, sentence);
}

}  // namespace raylet
