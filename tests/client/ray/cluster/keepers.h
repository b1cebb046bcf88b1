// Keepers: a driver with several Keeper actors, and a model of the objects that each keeps. Random steps make objects,
// pass them on, and kill keepers. The objects of a living keeper must be there, whichever processes have died. For
// tests.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/client/ray/cluster/keeper.h"
#include "tests/client/ray/cluster/status_of.h"
#include "tests/harness/daemon_process.h"

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

// Objects that raylets keep after ends go with their last reference.
inline void ExpectNothingIsKept(const std::string& raylet_socket) {
  for (const char* const what : {"objects_claimed", "ends_unsettled", "objects_watched"}) {
    const auto kept = [&] { return StatusOf(raylet_socket)[what]; };
    EXPECT_TRUE(raylet::test::Eventually(std::chrono::seconds(20), [&] { return kept() == 0; }))
        << what << ": " << kept();
  }
}

class Keepers {
 public:
  // `resources`: a keeper is made with one of these, at random; "" asks for none.
  Keepers(uint32_t seed, std::vector<std::string> resources) : random_(seed), resources_(std::move(resources)) {
    for (int i = 0; i < kKeepers; ++i) Add();
  }

  void Step() {
    const size_t at = Some();
    switch (random_() % 14) {
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
      default: return Kill(at);
    }
  }

  void CheckAll() {
    for (auto& keeper : keepers_) {
      const std::string wrong = *keeper.actor.Task(&Keeper::Check).Remote().Get(60'000);
      EXPECT_EQ(wrong, "");
    }
    for (const auto& [number, ref] : here_) EXPECT_EQ(*ref.Get(60'000), TextOf(number));
  }

 private:
  static constexpr int kKeepers = 4;
  enum Kind { kText, kBox, kArray };
  struct Kept {
    ray::ActorHandle<Keeper> actor;
    int pid = 0;
    std::map<int, Kind> things;
  };

  size_t Some() { return random_() % keepers_.size(); }
  std::optional<int> SomeOf(const Kept& keeper, Kind kind) {
    std::vector<int> numbers;
    for (const auto& [number, each] : keeper.things)
      if (each == kind) numbers.push_back(number);
    if (numbers.empty()) return {};
    return numbers[random_() % numbers.size()];
  }
  void Add() {
    const std::string& resource = resources_[random_() % resources_.size()];
    auto creator = ray::Actor(Keeper::Create);
    if (!resource.empty()) creator.SetResource(resource, 0.01);
    Kept keeper{creator.Remote(), 0, {}};
    keeper.pid = *keeper.actor.Task(&Keeper::Pid).Remote().Get(60'000);
    keepers_.push_back(std::move(keeper));
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
  // Passes a box on through this process, which does not look into it.
  void PassBoxOn(size_t at) {
    const size_t to = Some();
    const auto box = SomeOf(keepers_[at], kBox);
    if (!box || to == at) return;
    const auto ref = keepers_[at].actor.Task(&Keeper::GiveBox).Remote(*box).Get(60'000);
    keepers_[to].actor.Task(&Keeper::KeepBox).Remote(*box, std::vector{*ref}).Get(60'000);
    keepers_[to].things[*box] = kBox;
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
  // Objects that only the dead keeper kept are gone; all others are still there.
  void Kill(size_t at) {
    ::kill(keepers_[at].pid, SIGKILL);
    keepers_.erase(keepers_.begin() + static_cast<std::ptrdiff_t>(at));
    Add();
    CheckAll();
  }

  std::mt19937 random_;
  const std::vector<std::string> resources_;
  std::vector<Kept> keepers_;
  std::map<int, TextRef> here_;
  int next_ = 1;
};

}  // namespace cluster_test
