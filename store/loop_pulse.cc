#include "store/loop_pulse.h"

#include "base/mutex.h"

namespace raylet::store {

struct LoopPulse::State {
  Mutex mutex;
  ConditionVariable answered;
  uint64_t answers RAYLET_GUARDED_BY(mutex) = 0;
  bool asked RAYLET_GUARDED_BY(mutex) = false;
};

LoopPulse::LoopPulse(Loop& loop) : loop_(loop), state_(std::make_shared<State>()) {}

bool LoopPulse::Beats(Deadline deadline) {
  const MutexLock lock(state_->mutex);
  const uint64_t before = state_->answers;
  if (!state_->asked) {
    state_->asked = true;
    loop_.Post([state = state_] {
      const MutexLock held(state->mutex);
      state->asked = false;
      ++state->answers;
      state->answered.NotifyAll();
    });
  }
  while (state_->answers == before && !deadline.Passed()) state_->answered.Wait(state_->mutex, deadline);
  return state_->answers != before;
}

}  // namespace raylet::store
