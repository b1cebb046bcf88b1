// How handles and shards wait. Patience is the deadline of one call of the user, over all calls of shards that it
// makes.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <ray/api.h>

namespace ray::ps::internal {

// A caller that a shard tells to wait asks again after an eighth of the time that it has waited. So it asks some twenty
// times while a wait grows tenfold, and is late by an eighth.
constexpr std::chrono::microseconds kLookMin{20};
constexpr std::chrono::microseconds kLookMax{2000};

constexpr int kReplicaMs = 10'000;  // a shard's wait for its replica
constexpr int kInheritMs = 60'000;  // a new shard's wait for what it takes over

class Patience {
 public:
  explicit Patience(int64_t deadline_ms)
      : deadline_ms_(deadline_ms), start_(Clock::now()), end_(start_ + std::chrono::milliseconds(deadline_ms)) {}
  int64_t deadline_ms() const { return deadline_ms_; }
  // For a call: at least 1 ms, so that a late caller still looks once.
  int RemainingMs() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now()).count();
    return static_cast<int>(std::clamp<int64_t>(left, 1, 1 << 30));
  }
  bool Over() const { return Clock::now() >= end_; }
  void Sleep() const {
    const auto waited = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start_);
    std::this_thread::sleep_for(std::clamp(waited / 8, kLookMin, kLookMax));
  }

 private:
  using Clock = std::chrono::steady_clock;
  const int64_t deadline_ms_;
  const Clock::time_point start_;
  const Clock::time_point end_;
};

inline void CheckDeadline(std::chrono::milliseconds deadline) {
  if (deadline.count() <= 0)
    throw ray::internal::RayException("the deadline is " + std::to_string(deadline.count()) +
                                      " ms: it takes 1 ms or more");
}

// A call as errors name it.
struct Asked {
  static constexpr Asked Home(const char* what) { return {what, 0, 0}; }
  const char* what;  // "Stats"
  size_t shard = 0;
  size_t shards = 0;  // 0: the first shard that the server ever had
};

[[noreturn]] inline void ThrowNoAnswer(const Asked& asked, int64_t deadline_ms) {
  const std::string named = asked.shards == 0
                                ? "the first shard of the server"
                                : "shard " + std::to_string(asked.shard) + " of " + std::to_string(asked.shards);
  throw ray::internal::RayTimeoutException(named + " did not answer " + asked.what + " within " +
                                           std::to_string(deadline_ms) +
                                           " ms: its process is starting, busy or stopped; deadline is how long a call "
                                           "may take");
}

[[noreturn]] inline void ThrowClosed(const Asked& asked, int64_t deadline_ms) {
  throw ray::internal::RayTimeoutException("shard " + std::to_string(asked.shard) + " of " +
                                           std::to_string(asked.shards) + " was closed by a Resize for " +
                                           std::to_string(deadline_ms) +
                                           " ms, and the process that called Create is still at it; deadline is how "
                                           "long a call may take");
}

template <class Ref>
auto AnswerOf(const Ref& ref, const Asked& asked, const Patience& patience) {
  try {
    return ref.Get(patience.RemainingMs());
  } catch (const ray::internal::RayTimeoutException&) {
    ThrowNoAnswer(asked, patience.deadline_ms());
  }
}

// Of one call of each shard.
template <class T>
std::vector<std::shared_ptr<T>> AnswersOf(const std::vector<ObjectRef<T>>& refs, const char* what,
                                          const Patience& patience) {
  std::vector<std::shared_ptr<T>> answers;
  for (size_t i = 0; i < refs.size(); ++i) answers.push_back(AnswerOf(refs[i], {what, i, refs.size()}, patience));
  return answers;
}
inline void AnswersOf(const std::vector<ObjectRef<void>>& refs, const char* what, const Patience& patience) {
  for (size_t i = 0; i < refs.size(); ++i) AnswerOf(refs[i], {what, i, refs.size()}, patience);
}

// Whether all later calls of the actor fail, too. A call that waits for an actor to start again does not fail. So one
// that fails and never began is to an actor that is dead for good.
inline bool IsOver(const ray::internal::RayActorException& failure, bool restarts) {
  return !restarts || !failure.may_have_run();
}

// The result of a call, `ref`, which is made again where its actor has died and `restarts`.
template <class Call, class Ref>
auto Insist(bool restarts, const Patience& patience, const Asked& asked, const Call& call, Ref ref) {
  for (;;) {
    try {
      return AnswerOf(ref, asked, patience);
    } catch (const ray::internal::RayActorException& e) {
      if (IsOver(e, restarts) || patience.Over()) throw;
    }
    patience.Sleep();
    ref = call();
  }
}

template <class Call>
auto Insist(bool restarts, const Patience& patience, const Asked& asked, const Call& call) {
  return Insist(restarts, patience, asked, call, call());
}

// Shard::Save begins a file, or returns 0 while it writes another; Shard::Saved tells its end.
template <class Shard>
void SaveShards(const std::vector<ActorHandle<Shard>>& shards, const std::string& path, int64_t deadline_ms) {
  const Patience patience(deadline_ms);
  const auto wait = [&](size_t i, const auto& call) {
    for (;;) {
      const auto result = *AnswerOf(call(), {"Save", i, shards.size()}, patience);
      if (result) return result;
      if (patience.Over())
        throw ray::internal::RayTimeoutException("shard " + std::to_string(i) + " of " + std::to_string(shards.size()) +
                                                 " had not written the checkpoint " + path + " within " +
                                                 std::to_string(deadline_ms) +
                                                 " ms: its disk is slow; deadline is how long a call may take");
      patience.Sleep();
    }
  };
  std::vector<ObjectRef<uint64_t>> begun;
  for (const auto& shard : shards) begun.push_back(shard.Task(&Shard::Save).Remote(path));
  for (size_t i = 0; i < begun.size(); ++i) {
    uint64_t number = *AnswerOf(begun[i], {"Save", i, shards.size()}, patience);
    if (number == 0) number = wait(i, [&] { return shards[i].Task(&Shard::Save).Remote(path); });
    wait(i, [&] { return shards[i].Task(&Shard::Saved).Remote(number); });
  }
}

}  // namespace ray::ps::internal
