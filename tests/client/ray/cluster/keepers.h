// Keepers: two drivers with several Keeper actors of the first one, and a model of the objects that each keeps. Random
// steps make objects and pass them on. After each step a keeper, the second driver or a task's worker may be killed.
// The objects of a living process must be there, whichever processes have died. For tests.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/client/ray/cluster/keeper.h"
#include "tests/client/ray/cluster/other_driver.h"
#include "tests/client/ray/cluster/status_of.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/stop_process.h"

namespace cluster_test {

// $RAYLET_OWNERSHIP_SEEDS asks for a longer test.
inline uint32_t Seeds(uint32_t otherwise) {
  const char* const text = std::getenv("RAYLET_OWNERSHIP_SEEDS");
  return text == nullptr ? otherwise : static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
}

// Returns once its process is gone.
inline void Kill(const ray::ActorHandle<Keeper>& keeper) {
  const int pid = *keeper.Task(&Keeper::Pid).Remote().Get();
  ::kill(pid, SIGKILL);
  EXPECT_TRUE(raylet::test::Eventually(std::chrono::seconds(20), [&] { return ::kill(pid, 0) != 0; }));
}

// A number, or how many there are in a list.
inline size_t CountIn(const nlohmann::json& status, const std::string& what) {
  const nlohmann::json::json_pointer at(what);
  if (!status.contains(at)) return 0;  // a raylet without other machines
  return status[at].is_number() ? status[at].get<size_t>() : status[at].size();
}

// The raylet's tables are as they were before there was any object, task or actor; `actors` live still.
inline void ExpectNothingIsKept(const std::string& raylet_socket, size_t actors = 0) {
  const auto becomes = [&](const std::string& what, size_t expected) {
    EXPECT_TRUE(raylet::test::Eventually(std::chrono::seconds(20),
                                         [&] { return CountIn(StatusOf(raylet_socket), what) == expected; }))
        << what << ": " << StatusOf(raylet_socket);
  };
  becomes("/actors_living", actors);
  for (const char* const what :
       {"/objects_claimed", "/claims", "/ends_unsettled", "/objects_watched", "/objects_waited_for",
        "/tasks_waiting_for_objects", "/queues", "/tasks", "/processes_without_room", "/actors_of_others",
        "/channels_to_other_machines", "/transfers/objects_wanted", "/transfers/pulls", "/transfers/kept_for_others",
        "/transfers/result_references", "/transfers/remote_copies"})
    becomes(what, 0);
}

// As above, once all other drivers than the one of the test have gone. `others`: workers of other machines, whose jobs
// the test of two machines looks at itself, since work goes to and fro.
inline void ExpectNobodyIsKept(const std::string& raylet_socket, size_t others = 0) {
  const auto at_most = [&](const std::string& what, const std::function<size_t(const nlohmann::json&)>& most) {
    nlohmann::json status;
    EXPECT_TRUE(raylet::test::Eventually(std::chrono::seconds(20),
                                         [&] {
                                           status = StatusOf(raylet_socket);
                                           return CountIn(status, what) <= most(status);
                                         }))
        << what << ": " << status;
  };
  if (others == 0) at_most("/jobs", [](const nlohmann::json&) { return 1; });
  // Every two of the driver and the living workers may have met.
  at_most("/processes_met", [&](const nlohmann::json& status) {
    const size_t living = 1 + CountIn(status, "/workers") + others;
    return living * (living - 1) / 2;
  });
}

// The driver holds an object of `owner` that `middle` lent to it without keeping it, and that its owner has freed. The
// raylet has told the driver so, since `middle` has ended. Returns once the driver has heard it. `owners_raylet` is
// that of the owner, if not the driver's.
inline TextRef LostUnheard(ray::ActorHandle<Keeper> owner, ray::ActorHandle<Keeper> middle, const std::string& raylet,
                           const std::string& owners_raylet = {}) {
  owner.Task(&Keeper::Put).Remote(3).Get();
  middle.Task(&Keeper::KeepUnkept).Remote(3, *owner.Task(&Keeper::IdOf).Remote(3).Get()).Get();
  const TextRef ref = middle.Task(&Keeper::Give).Remote(std::vector{3}).Get()->at(3);
  owner.Task(&Keeper::Drop).Remote(3).Get();
  Kill(middle);
  EXPECT_TRUE(raylet::test::Eventually(std::chrono::seconds(20), [&] {
    return StatusOf(owners_raylet.empty() ? raylet : owners_raylet)["objects_claimed"] > 0 &&
           StatusOf(raylet)["ends_unsettled"] == 0;
  })) << StatusOf(raylet);
  EXPECT_FALSE(ray::GetActor<Keeper>("nobody")) << "the raylet's answer comes after its notice";
  return ref;
}

// Nothing waits for the object any more.
inline void ExpectIsLost(const TextRef& ref) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(ray::Wait(std::vector{ref}, 1, 20'000).ready.size(), 1u);
  EXPECT_THROW(ref.Get(20'000), ray::internal::UnreconstructableException);
  EXPECT_THROW(ray::Task(LengthOf).Remote(ref).Get(20'000), ray::internal::RayException);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

// Asks until it is so: a keeper reads what is released between two calls.
template <class Shared>
void ExpectSharesNothing(const char* who, Shared shared) {
  std::string still;
  const auto nothing = [&] {
    still = shared();
    return still.empty();
  };
  EXPECT_TRUE(raylet::test::Eventually(std::chrono::seconds(60), nothing)) << who << ": " << still;
}

// The driver lets go of an object that `owner` lent to it by the answer of a call. Then it opens another channel to
// `owner`. Meanwhile `owner` is in a call of another process, and reads no channel. The owner has the name "owner" in
// kNamespace, and no other handle. `in_call` says that the owner and `other` have a caller beside the driver.
template <class TaskCreator, class Condition>
void LetGoAndOpenAnotherChannel(ray::ActorHandle<Keeper> owner, ray::ActorHandle<Keeper> other, TaskCreator caller,
                                Condition in_call) {
  for (const int number : {1, 3}) owner.Task(&Keeper::Put).Remote(number).Get();
  const int stopped = *other.Task(&Keeper::Pid).Remote().Get();
  auto given = owner.Task(&Keeper::Give).Remote(std::vector{3}).Get();
  ASSERT_TRUE(raylet::test::StopProcess(stopped));
  const auto passed = caller.Remote("owner", other, std::vector{1});
  EXPECT_TRUE(raylet::test::Eventually(std::chrono::seconds(60), in_call));
  given.reset();
  owner = ray::ActorHandle<Keeper>();
  owner = *ray::GetActor<Keeper>("owner", kNamespace);
  const auto dropped = owner.Task(&Keeper::DropAll).Remote();
  EXPECT_FALSE(ray::GetActor<Keeper>("nobody")) << "the raylet's answer comes after the other channel";
  ASSERT_EQ(::kill(stopped, SIGCONT), 0);
  EXPECT_EQ(*passed.Get(60'000), 1);
  dropped.Get(60'000);
  other.Task(&Keeper::DropAll).Remote().Get(60'000);
  ExpectSharesNothing("the owner", [&] { return *owner.Task(&Keeper::Shared).Remote().Get(60'000); });
  owner.Kill();
}

class Keepers {
 public:
  // `resources`: a keeper is made, and a task runs, with one of these, at random; "" asks for none. The other driver is
  // one of a raylet at one of `raylet_sockets`, at random.
  Keepers(uint32_t seed, std::vector<std::string> resources, std::vector<std::string> raylet_sockets)
      : random_(seed), resources_(std::move(resources)), raylet_sockets_(std::move(raylet_sockets)) {
    StartTheOtherDriver();
    for (int i = 0; i < kKeepers; ++i) Add();
  }
  // A named actor lives until its job ends, or until it is killed.
  ~Keepers() {
    for (const Kept& keeper : keepers_)
      if (!keeper.name.empty()) keeper.actor.Kill();
  }
  Keepers(const Keepers&) = delete;
  Keepers& operator=(const Keepers&) = delete;

  void Step() {
    Change();
    if (random_() % 4 == 0) KillSomebody();
  }

  void CheckAll() {
    for (auto& keeper : keepers_) {
      const std::string wrong = *keeper.actor.Task(&Keeper::Check).Remote().Get(60'000);
      EXPECT_EQ(wrong, "");
    }
    for (const auto& [number, ref] : here_) EXPECT_EQ(*ref.Get(60'000), TextOf(number));
    EXPECT_EQ(other_->Do("check"), "");
  }

  // Call it in the end. No process shares anything then. A keeper may have more than the model knows of, where a call
  // of its ended with a process.
  void DropAll() {
    for (auto& keeper : keepers_) keeper.actor.Task(&Keeper::DropAll).Remote().Get(60'000);
    EXPECT_EQ(other_->Do("drop_all"), "");
    here_.clear();
    for (auto& keeper : keepers_)
      ExpectSharesNothing("a keeper", [&] { return *keeper.actor.Task(&Keeper::Shared).Remote().Get(60'000); });
    ExpectSharesNothing("the other driver", [&] { return other_->Do("shared"); });
    ExpectSharesNothing("this driver", SharedHere);
  }

 private:
  static constexpr int kKeepers = 4;
  static constexpr int kAttempts = 5;
  enum Kind { kText, kBox, kLargeBox, kArray };
  struct Kept {
    ray::ActorHandle<Keeper> actor;
    std::string name;  // under which the other driver finds it; empty: it does not
    int pid = 0;
    std::map<int, Kind> things;
  };

  void Change() {
    const size_t at = Some();
    switch (random_() % 25) {
      case 0: return Make(at, &Keeper::Put);
      case 1: return Make(at, &Keeper::Submit);
      case 2: return Make(at, &Keeper::PutArray, kArray);
      case 3: return Box(at);
      case 4: return TakeHere(at);
      case 5: return GiveFromHere(at);
      case 6: return PassOn(at);
      case 7: return PassBoxOn(at);
      case 8: return PassArrayOn(at);
      case 9: return Drop(at);
      case 10: return OfTasks();
      case 11: return GiveTwoOfWhichItKeepsOne(at);
      case 12: return GiveTwoBoxesOfWhichItKeepsOneContent(at);
      case 13: return SubmitLargeBox(at);
      case 14: return KillWhilePassingOn(at);
      case 15: return KillWhileTaking(at);
      case 16:
      case 17: return OtherDriverTakes(at);
      case 18:
      case 19: return OtherDriverGives(at);
      case 20: return OtherDriverMakes();
      case 21: return CallForLargeBox(at);
      case 22: return PassLargeBoxOn(at);
      case 23: return PassIdOn(at);
      default: return OtherDriverDrops();
    }
  }
  void KillSomebody() {
    switch (random_() % 6) {
      case 0: return KillTheOtherDriver();
      case 1: return KillTheWorkerOfATask();
      default: return Kill(Some());
    }
  }

  const std::string& SomeResource() { return resources_[random_() % resources_.size()]; }
  size_t Some() { return random_() % keepers_.size(); }
  std::optional<int> SomeOf(const Kept& keeper, Kind kind) {
    std::vector<int> numbers;
    for (const auto& [number, each] : keeper.things)
      if (each == kind) numbers.push_back(number);
    if (numbers.empty()) return {};
    return numbers[random_() % numbers.size()];
  }
  void Add() {
    const std::string& resource = SomeResource();
    const bool named = random_() % 2 == 0;
    for (int attempt = 1;; ++attempt) {
      auto creator = ray::Actor(Keeper::Create);
      if (!resource.empty()) creator.SetResource(resource, 0.01);
      const std::string name = named ? "keeper" + std::to_string(next_name_++) : "";
      if (named) creator.SetName(name);
      Kept keeper{creator.Remote(), name, 0, {}};
      try {
        keeper.pid = *keeper.actor.Task(&Keeper::Pid).Remote().Get(60'000);
      } catch (const ray::internal::RayActorException&) {
        // It was made in an idle worker that this test had killed, before the raylet took notice.
        if (attempt == kAttempts) throw;
        continue;
      }
      keepers_.push_back(std::move(keeper));
      return;
    }
  }
  template <class Method>
  void Make(size_t at, Method method, Kind kind = kText) {
    const int number = next_++;
    keepers_[at].actor.Task(method).Remote(number).Get(60'000);
    keepers_[at].things[number] = kind;
  }
  void Box(size_t at) {
    std::vector<int> numbers;
    for (int i = 0; i < 2; ++i)
      if (const auto number = SomeOf(keepers_[at], kText)) numbers.push_back(*number);
    const int box = next_++;
    keepers_[at].actor.Task(&Keeper::PutBox).Remote(box, numbers).Get(60'000);
    keepers_[at].things[box] = kBox;
  }
  void TakeHere(size_t at) {
    const auto number = SomeOf(keepers_[at], kText);
    if (!number) return;
    const auto given = keepers_[at].actor.Task(&Keeper::Give).Remote(std::vector<int>{*number}).Get(60'000);
    here_.insert_or_assign(*number, given->at(*number));
  }
  void GiveFromHere(size_t at) {
    if (here_.empty()) return;
    const auto from = std::next(here_.begin(), static_cast<std::ptrdiff_t>(random_() % here_.size()));
    keepers_[at].actor.Task(&Keeper::Keep).Remote(std::map<int, TextRef>{*from}).Get(60'000);
    keepers_[at].things[from->first] = kText;
    if (random_() % 2 == 0) here_.erase(from);
  }
  void GiveTwoOfWhichItKeepsOne(size_t at) {
    const auto two = TwoFromHere();
    if (!two) return;
    const int kept = (random_() % 2 == 0 ? two->begin() : std::next(two->begin()))->first;
    keepers_[at].actor.Task(&Keeper::KeepOne).Remote(kept, *two).Get(60'000);
    keepers_[at].things[kept] = kText;
    if (random_() % 2 == 0) here_.erase(kept);
  }
  void GiveTwoBoxesOfWhichItKeepsOneContent(size_t at) {
    const auto two = TwoFromHere();
    if (!two) return;
    const auto box = ray::Put(std::map<int, TextRef>{*two->begin()});
    const auto other = ray::Put(std::map<int, TextRef>{*std::next(two->begin())});
    const int kept = (random_() % 2 == 0 ? two->begin() : std::next(two->begin()))->first;
    keepers_[at].actor.Task(&Keeper::KeepOneOfTwoBoxes).Remote(kept, box, other).Get(60'000);
    keepers_[at].things[kept] = kText;
    if (random_() % 2 == 0) here_.erase(kept);
  }
  std::optional<std::map<int, TextRef>> TwoFromHere() {
    if (here_.size() < 2) return {};
    const auto from = std::next(here_.begin(), static_cast<std::ptrdiff_t>(random_() % (here_.size() - 1)));
    return std::map<int, TextRef>{*from, *std::next(from)};
  }
  void PassOn(size_t at) {
    const size_t to = Some();
    const auto number = SomeOf(keepers_[at], kText);
    if (!number || to == at) return;
    keepers_[at].actor.Task(&Keeper::PassOn).Remote(keepers_[to].actor, std::vector<int>{*number}).Get(60'000);
    keepers_[to].things[*number] = kText;
  }
  // The other one is not lent the object. It finds it by its id.
  void PassIdOn(size_t at) {
    const size_t to = Some();
    const auto number = SomeOf(keepers_[at], kText);
    if (!number || to == at) return;
    const auto id = *keepers_[at].actor.Task(&Keeper::IdOf).Remote(*number).Get(60'000);
    keepers_[to].actor.Task(&Keeper::KeepById).Remote(*number, id).Get(60'000);
    keepers_[to].things[*number] = kText;
  }
  // Passes a box on through this process, which does not look into it.
  void PassBoxOn(size_t at) {
    const size_t to = Some();
    const auto box = SomeOf(keepers_[at], kBox);
    if (!box || to == at) return;
    const auto ref = keepers_[at].actor.Task(&Keeper::GiveBox).Remote(*box).Get(60'000);
    keepers_[to].actor.Task(&Keeper::KeepBox).Remote(*box, std::vector{*ref}).Get(60'000);
    keepers_[to].things[*box] = kBox;
  }
  void SubmitLargeBox(size_t at) {
    const int box = next_++;
    keepers_[at].actor.Task(&Keeper::SubmitLargeBox).Remote(box, SomeResource()).Get(60'000);
    keepers_[at].things[box] = kLargeBox;
  }
  void PassLargeBoxOn(size_t at) {
    const size_t to = Some();
    const auto box = SomeOf(keepers_[at], kLargeBox);
    if (!box || to == at) return;
    const auto ref = keepers_[at].actor.Task(&Keeper::GiveLargeBox).Remote(*box).Get(60'000);
    keepers_[to].actor.Task(&Keeper::KeepLargeBox).Remote(*box, std::vector{*ref}).Get(60'000);
    keepers_[to].things[*box] = kLargeBox;
  }
  void CallForLargeBox(size_t at) {
    const size_t maker = Some();
    if (maker == at) return;
    const int box = next_++;
    keepers_[at].actor.Task(&Keeper::CallForLargeBox).Remote(box, keepers_[maker].actor).Get(60'000);
    keepers_[at].things[box] = kLargeBox;
  }
  void PassArrayOn(size_t at) {
    const size_t to = Some();
    const auto number = SomeOf(keepers_[at], kArray);
    if (!number || to == at) return;
    const auto array = *keepers_[at].actor.Task(&Keeper::GiveArray).Remote(*number).Get(60'000);
    keepers_[to].actor.Task(&Keeper::KeepArray).Remote(*number, array).Get(60'000);
    keepers_[to].things[*number] = kArray;
  }
  void Drop(size_t at) {
    if (keepers_[at].things.empty()) return;
    const auto some =
        std::next(keepers_[at].things.begin(), static_cast<std::ptrdiff_t>(random_() % keepers_[at].things.size()));
    keepers_[at].actor.Task(&Keeper::Drop).Remote(some->first).Get(60'000);
    keepers_[at].things.erase(some);
  }
  void OfTasks() {
    const int number = next_++;
    const auto ref = random_() % 2 == 0 ? ray::Task(PutInATask).Remote(number) : ray::Task(GiveThrough).Remote(number);
    here_.insert_or_assign(number, *ref.Get(60'000));
  }
  // The worker owns the object.
  void KillTheWorkerOfATask() {
    const int number = next_++;
    auto task = ray::Task(PutAndTellPid);
    if (const std::string& resource = SomeResource(); !resource.empty()) task.SetResource(resource, 0.01);
    const auto made = task.Remote(number).Get(60'000);
    here_.insert_or_assign(number, made->second);
    ::kill(made->first, SIGKILL);
    // The raylet gives it no more work.
    EXPECT_TRUE(raylet::test::Eventually(std::chrono::seconds(20), [&] { return ::kill(made->first, 0) != 0; }));
    CheckAll();
  }
  // One of the two ends before the call has. Then nobody knows whether the other one has the object.
  void KillWhilePassingOn(size_t at) {
    const size_t to = Some();
    const auto number = SomeOf(keepers_[at], kText);
    if (!number || to == at) return;
    const auto passed = keepers_[at].actor.Task(&Keeper::PassOn).Remote(keepers_[to].actor, std::vector<int>{*number});
    const size_t killed = random_() % 2 == 0 ? at : to;
    PauseForAMoment();
    ::kill(keepers_[killed].pid, SIGKILL);
    if (Ends(passed)) keepers_[to].things[*number] = kText;
    Kill(killed);
  }
  void KillWhileTaking(size_t at) {
    const auto number = SomeOf(keepers_[at], kText);
    if (!number) return;
    const auto given = keepers_[at].actor.Task(&Keeper::Give).Remote(std::vector<int>{*number});
    PauseForAMoment();
    ::kill(keepers_[at].pid, SIGKILL);
    if (Ends(given)) here_.insert_or_assign(*number, given.Get(60'000)->at(*number));
    Kill(at);
  }
  // Any moment will do; the next one differs.
  void PauseForAMoment() { std::this_thread::sleep_for(std::chrono::microseconds(random_() % 3'000)); }
  // False where the process of the call has died.
  template <class Result>
  static bool Ends(const ray::ObjectRef<Result>& call) {
    try {
      call.Get(60'000);
      return true;
    } catch (const ray::internal::RayActorException&) {
      return false;
    } catch (const ray::internal::RayTaskException&) {  // its own call has failed
      return false;
    }
  }

  // Objects that only the dead keeper kept are gone; all others are still there.
  void Kill(size_t at) {
    ::kill(keepers_[at].pid, SIGKILL);
    keepers_.erase(keepers_.begin() + static_cast<std::ptrdiff_t>(at));
    Add();
    CheckAll();
  }

  void OtherDriverTakes(size_t at) {
    const auto number = SomeOf(keepers_[at], kText);
    if (!number || keepers_[at].name.empty()) return;
    EXPECT_EQ(other_->Do("take " + keepers_[at].name + " " + std::to_string(*number)), "");
    at_other_.insert(*number);
  }
  void OtherDriverGives(size_t at) {
    const auto number = SomeAtOther();
    if (!number || keepers_[at].name.empty()) return;
    EXPECT_EQ(other_->Do("give " + keepers_[at].name + " " + std::to_string(*number)), "");
    keepers_[at].things[*number] = kText;
  }
  void OtherDriverMakes() {
    const int number = next_++;
    EXPECT_EQ(other_->Do((random_() % 2 == 0 ? "put " : "submit ") + std::to_string(number)), "");
    at_other_.insert(number);
  }
  void OtherDriverDrops() {
    const auto number = SomeAtOther();
    if (!number) return;
    EXPECT_EQ(other_->Do("drop " + std::to_string(*number)), "");
    at_other_.erase(*number);
  }
  void StartTheOtherDriver() { other_.emplace(raylet_sockets_[random_() % raylet_sockets_.size()], kNamespace); }
  void KillTheOtherDriver() {
    ::kill(other_->pid(), SIGKILL);
    StartTheOtherDriver();
    at_other_.clear();
    CheckAll();
  }
  std::optional<int> SomeAtOther() {
    if (at_other_.empty()) return {};
    return *std::next(at_other_.begin(), static_cast<std::ptrdiff_t>(random_() % at_other_.size()));
  }

  std::mt19937 random_;
  const std::vector<std::string> resources_;
  const std::vector<std::string> raylet_sockets_;
  std::optional<OtherDriver> other_;
  std::set<int> at_other_;
  std::vector<Kept> keepers_;
  std::map<int, TextRef> here_;
  int next_ = 1;
  int next_name_ = 1;
};

}  // namespace cluster_test
