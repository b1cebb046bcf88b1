#include "tests/client/ray/api/waits.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <ray/api.h>

namespace waits {

using ray::internal::RayException;
using ray::internal::RayTaskException;
using Ref = ray::ObjectRef<int>;
using Refs = std::vector<Ref>;
using List = std::list<Ref>;

// Its calls of Pass end once their door is open.
class Doorway {
 public:
  static Doorway* Create() { return new Doorway(); }
  int Pass(int door, int value) {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [this, door] { return open_.contains(door); });
    return value;
  }
  void Open(int door) {
    const std::lock_guard lock(mutex_);
    open_.insert(door);
    opened_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  std::set<int> open_;
};
RAY_REMOTE(Doorway::Create, &Doorway::Pass, &Doorway::Open);

int FailsAt(int value) { throw std::runtime_error("fails at " + std::to_string(value)); }
Ref RefTo(int value) { return ray::Put(value); }
RAY_REMOTE(FailsAt, RefTo);

namespace {

constexpr int kPatienceMs = 60'000;

// Pending references, until it opens. It opens in the end, so that nothing waits for ever.
class Pending {
 public:
  explicit Pending(ray::ActorHandle<Doorway>& doorway) : doorway_(doorway) {
    static int doors = 0;
    door_ = ++doors;
  }
  ~Pending() { Open(); }
  Pending(const Pending&) = delete;
  Pending& operator=(const Pending&) = delete;
  Ref Next(int value = 0) { return doorway_.Task(&Doorway::Pass).Remote(door_, value); }
  void Open() { doorway_.Task(&Doorway::Open).Remote(door_).Get(kPatienceMs); }

 private:
  ray::ActorHandle<Doorway>& doorway_;
  int door_ = 0;
};
ray::ActorHandle<Doorway> MakeDoorway() { return ray::Actor(Doorway::Create).SetMaxConcurrency(8).Remote(); }

Refs PutMany(int count) {
  Refs refs;
  for (int i = 0; i < count; ++i) refs.push_back(ray::Put(i));
  return refs;
}
List ListOf(const Refs& refs) { return {refs.begin(), refs.end()}; }

std::string MessageOf(const Refs& refs) {
  try {
    ray::Get(refs);
  } catch (const RayException& e) {
    return e.what();
  }
  return {};
}
bool Says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

void ExpectNoMoreThanAskedFor() {
  const Refs refs = PutMany(5);
  auto result = ray::Wait(refs, 2, 0);
  EXPECT_EQ(result.ready, (List{refs[0], refs[1]}));
  EXPECT_EQ(result.unready, (List{refs[2], refs[3], refs[4]}));
  result = ray::Wait(refs, 0, -1);
  EXPECT_TRUE(result.ready.empty());
  EXPECT_EQ(result.unready, ListOf(refs));
  result = ray::Wait(refs, 5, -1);
  EXPECT_EQ(result.ready, ListOf(refs));
  EXPECT_TRUE(result.unready.empty());
}

void ExpectReadyFoundBehindPending() {
  auto doorway = MakeDoorway();
  Pending pending(doorway);
  const Ref put = ray::Put(1), failed = ray::Task(FailsAt).Remote(1), another = ray::Put(2);
  EXPECT_THROW(failed.Get(kPatienceMs), RayTaskException);
  const Refs refs{pending.Next(), put, failed, pending.Next(), another};
  auto result = ray::Wait(refs, 2, kPatienceMs);
  EXPECT_EQ(result.ready, (List{put, failed})) << "a failed one is ready";
  EXPECT_EQ(result.unready, (List{refs[0], refs[3], another}));
  result = ray::Wait(refs, 4, 20);
  EXPECT_EQ(result.ready, (List{put, failed, another}));
  EXPECT_EQ(result.unready, (List{refs[0], refs[3]}));
}

void ExpectReadyFoundWhileItWaits() {
  auto doorway = MakeDoorway();
  Pending later(doorway), sooner(doorway);
  const Refs refs{later.Next(1), later.Next(2), sooner.Next(3), later.Next(4)};
  EXPECT_TRUE(ray::Wait(refs, 1, 0).ready.empty());
  std::thread opener([&] { sooner.Open(); });
  EXPECT_EQ(ray::Wait(refs, 1, kPatienceMs).ready, (List{refs[2]}));
  opener.join();
  opener = std::thread([&] { later.Open(); });
  EXPECT_EQ(ray::Wait(refs, 4, kPatienceMs).ready, ListOf(refs));
  opener.join();
}

void ExpectReadyFoundAtTheTimeout() {
  using Clock = std::chrono::steady_clock;
  auto doorway = MakeDoorway();
  Pending never(doorway);
  for (int timeout_ms = 250;; timeout_ms *= 2) {  // a slow machine needs longer
    Pending soon(doorway);
    const Refs refs{never.Next(), soon.Next(1), soon.Next(2)};
    Clock::time_point opened;
    std::thread opener([&] {
      soon.Open();
      ray::Get(Refs{refs[1], refs[2]});
      opened = Clock::now();
    });
    const auto end = Clock::now() + std::chrono::milliseconds(timeout_ms);
    const auto result = ray::Wait(refs, 3, timeout_ms);
    opener.join();
    if (opened >= end) continue;
    EXPECT_EQ(result.ready, (List{refs[1], refs[2]}));
    EXPECT_EQ(result.unready, (List{refs[0]}));
    return;
  }
}

void ExpectEarlierOneCountedOnce() {
  auto doorway = MakeDoorway();
  for (int round = 0; round < 20; ++round) {
    Pending pending(doorway);
    const Refs refs{pending.Next(), pending.Next(), ray::Put(3)};
    std::thread opener([&] { pending.Open(); });
    const auto result = ray::Wait(refs, 2, kPatienceMs);
    opener.join();
    ASSERT_EQ(result.ready.size(), 2U);
    ASSERT_EQ(result.unready.size(), 1U);
  }
}

void ExpectEachOfTwoEqualOnesCounted() {
  const Ref one = ray::Put(1);
  EXPECT_EQ(ray::Wait(Refs{one, one}, 2, -1).ready, (List{one, one}));
  EXPECT_EQ(ray::Wait(Refs{one, one}, 1, -1).unready, (List{one}));
  auto doorway = MakeDoorway();
  Pending pending(doorway);
  const Ref other = pending.Next();
  EXPECT_EQ(ray::Wait(Refs{other, one, other, one}, 2, -1).unready, (List{other, other}));
}

void ExpectBadCountsAndReferencesRefused() {
  const Refs refs = PutMany(2);
  EXPECT_THROW(ray::Wait(refs, 3, 0), RayException);
  EXPECT_THROW(ray::Wait(refs, -1, 0), RayException);
  EXPECT_THROW(ray::Wait(Refs{}, 1, 0), RayException);
  EXPECT_TRUE(ray::Wait(Refs{}, 0, 0).ready.empty());
  EXPECT_THROW(ray::Wait(Refs{refs[0], Ref()}, 1, 0), RayException) << "also behind enough ready ones";
  EXPECT_THROW(ray::Get(Refs{Ref()}), RayException);
  auto doorway = MakeDoorway();
  Pending pending(doorway);
  EXPECT_THROW(ray::Get(Refs{pending.Next(), Ref()}), RayException) << "before it waits";
  EXPECT_TRUE(ray::Get(Refs{}).empty());
}

namespace {

template <class T>
size_t SizeOf(const std::list<ray::ObjectRef<T>>& list) {  // T is found from the argument
  return list.size();
}
int SumOf(const List& list) {
  int sum = 0;
  for (const auto& ref : list) sum += *ref.Get();
  return sum;
}
struct Keeper {
  List kept;
};

}  // namespace

void ExpectStandardLists() {
  static_assert(std::is_same_v<decltype(ray::WaitResult<int>::ready), List>);
  static_assert(std::is_same_v<decltype(ray::WaitResult<int>::unready), List>);
  const Refs refs = PutMany(6);
  auto [ready, unready] = ray::Wait(refs, 2, -1);
  static_assert(std::is_same_v<decltype(unready), List>);
  EXPECT_EQ(SumOf(ready), 0 + 1);
  EXPECT_EQ(SumOf(unready), 2 + 3 + 4 + 5);

  auto result = ray::Wait(refs, 2, -1);
  List& bound = result.ready;
  bound.push_back(refs[5]);
  EXPECT_EQ(result.ready.size(), 3U);
  EXPECT_EQ(SizeOf(result.unready), 4U);
  for (auto& ref : result.unready) EXPECT_GE(*ref.Get(), 2);
  result.ready.splice(result.ready.end(), result.unready, result.unready.begin());
  result.unready.sort([](const Ref& a, const Ref& b) { return *a.Get() > *b.Get(); });
  EXPECT_EQ(result.unready, (List{refs[5], refs[4], refs[3]}));
  result.unready.remove_if([](const Ref& ref) { return *ref.Get() == 4; });
  std::swap(result.ready, result.unready);
  EXPECT_EQ(result.ready, (List{refs[5], refs[3]}));
  EXPECT_EQ(*result.unready.rbegin()->Get(), 2);

  const Keeper keeper{result.unready};  // a copy
  EXPECT_EQ(keeper.kept, result.unready);
  const Ref* const first = &result.unready.front();
  const List moved = std::move(result.unready);
  EXPECT_EQ(&moved.front(), first) << "a move leaves each reference where it is";
  const Refs again(moved.begin(), moved.end());
  EXPECT_EQ(ray::Wait(again, static_cast<int>(again.size()), -1).ready, moved);

  ray::WaitResult<int> copy = ray::Wait(refs, 1, -1);
  const ray::WaitResult<int> other = copy;
  copy.ready.clear();
  EXPECT_EQ(other.ready.size(), 1U);
  EXPECT_EQ(ray::WaitResult<int>().ready.size(), 0U);
  EXPECT_EQ((ray::WaitResult<int>{{refs[0]}, {refs[1]}}).unready.front(), refs[1]);
}

void ExpectListsToKeepTheirObjects() {
  Refs refs = PutMany(100);
  refs.push_back(ray::Put(100));
  auto [ready, unready] = ray::Wait(refs, 50, -1);
  const std::string id = refs.back().ID();
  refs.clear();
  EXPECT_EQ(SumOf(ready), 49 * 50 / 2);
  EXPECT_EQ(SumOf(unready), 100 * 101 / 2 - 49 * 50 / 2);
  EXPECT_EQ(*Ref(id).Get(kPatienceMs), 100);
  unready.clear();
  EXPECT_THROW(Ref(id).Get(kPatienceMs), RayException) << "nothing refers to it any more";
}

void ExpectValuesInOrder() {
  const size_t large = 200'000;
  for (const int count : {0, 1, 2, 31, 32, 33, 64, 65, 1'000}) {
    const auto numbers = ray::Get(PutMany(count));
    ASSERT_EQ(numbers.size(), static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) ASSERT_EQ(*numbers[static_cast<size_t>(i)], i);
  }
  std::vector<ray::ObjectRef<std::string>> refs;
  for (int i = 0; i < 100; ++i)
    refs.push_back(ray::Put(std::string(i % 7 == 3 ? large : 10, static_cast<char>('a' + i % 26))));
  const auto values = ray::Get(refs);
  for (int i = 0; i < 100; ++i)
    ASSERT_EQ(*values[static_cast<size_t>(i)], std::string(i % 7 == 3 ? large : 10, static_cast<char>('a' + i % 26)));
  auto doorway = MakeDoorway();
  Pending pending(doorway);
  Refs some = PutMany(40);
  some.push_back(pending.Next(40));
  some.push_back(ray::Put(41));
  EXPECT_THROW(ray::Get(some, 20), ray::internal::RayTimeoutException);
  std::thread opener([&] { pending.Open(); });
  const auto all = ray::Get(some, kPatienceMs);
  opener.join();
  for (int i = 0; i < 42; ++i) ASSERT_EQ(*all[static_cast<size_t>(i)], i);
}

void ExpectFirstErrorThrown() {
  Refs refs = PutMany(40);
  refs.push_back(ray::Task(FailsAt).Remote(40));
  refs.push_back(ray::Task(FailsAt).Remote(41));
  refs.push_back(ray::Put(42));
  EXPECT_PRED2(Says, MessageOf(refs), "fails at 40");
  EXPECT_PRED2(Says, MessageOf(refs), "fails at 40");
  auto doorway = MakeDoorway();
  Pending pending(doorway);
  refs[3] = pending.Next();
  EXPECT_THROW(ray::Get(refs, 20), ray::internal::RayTimeoutException) << "it waits for an earlier one first";
  EXPECT_THROW(ray::Get(Refs(refs.begin() + 40, refs.end())), RayTaskException);
}

void ExpectErrorBeforeTheNextWait() {
  const auto text = ray::Put(std::string("no number"));
  auto doorway = MakeDoorway();
  Pending pending(doorway);
  const Refs refs{ray::Put(1), Ref(text.handle()), ray::Put(2), pending.Next()};
  EXPECT_PRED2(Says, MessageOf(refs), "cannot read a value");
}

void ExpectReferencesInValuesToKeepTheirObjects() {
  std::vector<ray::ObjectRef<Ref>> outer;
  for (int i = 0; i < 50; ++i) outer.push_back(ray::Task(RefTo).Remote(i));
  for (int i = 50; i < 100; ++i) outer.push_back(ray::Put(ray::Put(i)));
  Refs inner;
  for (const auto& value : ray::Get(outer, kPatienceMs)) inner.push_back(*value);
  outer.clear();
  const auto values = ray::Get(inner, kPatienceMs);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(*values[static_cast<size_t>(i)], i);
}

}  // namespace waits
