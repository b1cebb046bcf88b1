// A client that is killed after any instruction of the library, and one whose object goes meanwhile: what the store
// and another client see. RAYLET_EVERY_INSTRUCTION=1 takes every instruction. Otherwise a few dozen are enough, evenly
// spread.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/strings.h"
#include "client/plasma/mapped_index.h"
#include "tests/client/plasma/connecting_fixture.h"
#include "tests/harness/stepped_child.h"

namespace raylet::client {
namespace {

using std::chrono::seconds;
using test::Eventually;
using test::SteppedChild;
using test::StepPlace;

constexpr uint64_t kHeld = 1, kPut = 2, kBatch = 10, kOthers = 100, kWarm = 200;
#ifdef RAYLET_SANITIZED  // each kill takes five times as long
constexpr size_t kPlacesUsually = 12;
#else
constexpr size_t kPlacesUsually = 40;
#endif

ObjectId NumberedId(uint64_t number) {
  ObjectId id;
  std::memcpy(id.mutable_data(), &number, sizeof number);
  return id;
}

std::string BytesFor(uint64_t number, size_t size) {
  std::string bytes(size, '\0');
  for (size_t at = 0; at < size; ++at) bytes[at] = static_cast<char>(number * 131 + at * 7);
  return bytes;
}

bool Put(StoreClient& client, uint64_t number, size_t size) {
  const std::string bytes = BytesFor(number, size);
  return client.CreateAndSeal(NumberedId(number), test::BytesOf(bytes), {}, {}).has_value();
}

bool Remove(StoreClient& client, uint64_t number) {
  const ObjectId id = NumberedId(number);
  return client.Delete({&id, 1}).has_value();
}

bool IsWhole(const PinnedObject& view, uint64_t number) {
  return test::TextOf(view.data()) == BytesFor(number, view.data().size());
}

// What must be as before when a client has gone.
struct Ledger {
  uint64_t clients, sealed_bytes, sealed_count, unsealed_count, dying_count, leased_bytes, physical_bytes;
  bool operator==(const Ledger&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Ledger& ledger) {
    return out << StrCat(ledger.clients, " clients, ", ledger.sealed_count, " objects of ", ledger.sealed_bytes,
                         " bytes, ", ledger.unsealed_count, " unsealed, ", ledger.dying_count, " dying, ",
                         ledger.leased_bytes, " bytes leased, ", ledger.physical_bytes, " taken");
  }
};

// What the killed client does, and what may be there afterwards.
struct Operation {
  std::function<bool(StoreClient&)> run;
  std::vector<uint64_t> puts{};  // each is there or not; all of them, or none
  size_t size = 0;               // of each
};

class SteppedClientTest : public test::ConnectingTest {
 protected:
  static constexpr size_t kHeldBytes = 3000;

  void SetUp() override {
    StartStore("64M", {"--deaths-max", "1000000"});
    other_ = Connect();
    for (uint64_t number = 0; number < kSizes.size(); ++number)
      ASSERT_TRUE(Put(*other_, kOthers + number, kSizes[number]));
    ASSERT_TRUE(Put(*other_, kHeld, kHeldBytes));
    auto index = MappedIndex::OpenByName(socket());
    ASSERT_TRUE(index);
    index_.emplace(*std::move(index));
  }

  // Runs `run` between the two marks, in a child that is connected, with its ring open and its code warm.
  int InChild(const std::function<bool(StoreClient&)>& run, const std::function<int(bool)>& after = {}) const {
    auto client = StoreClient::Connect(socket(), "stepped", Deadline::After(seconds(20)), false);
    if (!client || !WarmUp(**client)) return 2;
    SteppedChild::Mark();
    const bool good = run(**client);
    SteppedChild::Mark();
    return after ? after(good) : good ? 0 : 1;
  }
  static bool WarmUp(StoreClient& client) {
    std::vector<ObjectId> ids;
    for (uint64_t number = kWarm; number < kWarm + 8; ++number) {
      ids.push_back(NumberedId(number));
      if (!Put(client, number, number % 2 == 0 ? 500 : 20'000)) return false;
    }
    const auto aborted = [&] {
      auto writer = client.Create(NumberedId(kWarm + 8), 10, {}, {});
      return writer && std::move(*writer).Abort();
    };
    return client.TryGet(ids.front()) && aborted() && client.Delete(ids).has_value();
  }
  std::vector<StepPlace> PlacesOf(const std::function<bool(StoreClient&)>& run) const {
    SteppedChild child([&] { return InChild(run); });
    if (!child.stopped()) return {};
    std::vector<StepPlace> places = child.Places();
    EXPECT_EQ(child.GoOn(), 0);
    return places;
  }
  static size_t Stride(const std::vector<StepPlace>& places) {
    return std::getenv("RAYLET_EVERY_INSTRUCTION") != nullptr ? 1 : places.size() / kPlacesUsually + 1;
  }

  Ledger Look() const {
    const IndexCounters& counters = index_->header().counters;
    return {counters.clients,     counters.sealed_bytes, counters.sealed_count,  counters.unsealed_count,
            counters.dying_count, counters.leased_bytes, counters.physical_bytes};
  }
  bool IsHeld() const {
    const auto all = other_->ListWithUses();
    const auto held = std::ranges::find(*all, NumberedId(kHeld), &ObjectInfo::id);
    return held != all->end() && held->clients > 0;
  }

  // After the end of the stepped client: what it put is whole or absent, and all else is as before.
  void ExpectAllElseAsBefore(const Operation& operation, const Ledger& before) {
    ASSERT_TRUE(Eventually(seconds(20), [&] { return Look().clients == before.clients; })) << Look();
    size_t there = 0;
    for (const uint64_t number : operation.puts) {
      const auto view = other_->TryGet(NumberedId(number));
      ASSERT_TRUE(view);
      if (!view->has_value()) continue;
      ++there;
      ASSERT_EQ((*view)->data().size(), operation.size);
      ASSERT_TRUE(IsWhole(**view, number)) << "object " << number;
    }
    ASSERT_TRUE(there == 0 || there == operation.puts.size()) << there << " of " << operation.puts.size();
    times_there_ += there > 0 ? 1 : 0;
    times_absent_ += there == 0 ? 1 : 0;
    for (const uint64_t number : operation.puts) ASSERT_TRUE(Remove(*other_, number));
    for (uint64_t number = 0; number < kSizes.size(); ++number) {
      const auto view = other_->TryGet(NumberedId(kOthers + number));
      ASSERT_TRUE(view && view->has_value());
      ASSERT_EQ((*view)->data().size(), kSizes[number]);
      ASSERT_TRUE(IsWhole(**view, kOthers + number)) << "object " << number << " of another client";
    }
    ASSERT_TRUE(OtherWorks());
    ASSERT_TRUE(Eventually(seconds(20), [&] { return Look() == before; })) << Look() << "; before: " << before;
  }

  // Kills the client at one place after the other.
  void KillAtEachPlace(const Operation& operation) {
    const std::vector<StepPlace> places = PlacesOf(operation.run);
    ASSERT_GT(places.size(), kPlacesUsually);
    RecordProperty("instructions", std::to_string(places.size()));
    for (const uint64_t number : operation.puts) ASSERT_TRUE(Remove(*other_, number));
    ASSERT_TRUE(Eventually(seconds(20), [&] { return Look().clients == 1; }));
    ASSERT_TRUE(OtherWorks());
    const Ledger before = Look();
    ASSERT_NO_FATAL_FAILURE(ExpectAllElseAsBefore(operation, before));
    for (size_t at = 0; at < places.size(); at += Stride(places)) {
      SCOPED_TRACE(StrCat("killed after instruction ", at, " of ", places.size()));
      SteppedChild child([&] { return InChild(operation.run); });
      ASSERT_TRUE(child.stopped());
      static_cast<void>(child.RunTo(places[at]));
      times_held_ += IsHeld() ? 1 : 0;
      times_unsealed_ += Look().unsealed_count > 0 ? 1 : 0;
      child.Kill();
      ASSERT_NO_FATAL_FAILURE(ExpectAllElseAsBefore(operation, before));
    }
  }
  // A pin that stays would keep the memory of the object that the stepped client has got.
  bool OtherWorks() {
    const auto puts = [this](size_t size) { return Put(*other_, kPut, size) && Remove(*other_, kPut); };
    return Remove(*other_, kHeld) && Put(*other_, kHeld, kHeldBytes) && puts(500) && puts(20'000);
  }
  void ExpectBothOutcomes() const {
    EXPECT_GT(times_there_, 0u);
    EXPECT_GT(times_absent_, 0u);
  }

  static constexpr std::array<size_t, 4> kSizes{64, 900, 5000, 100'000};
  std::shared_ptr<StoreClient> other_;
  std::optional<MappedIndex> index_;
  size_t times_there_ = 0, times_absent_ = 0;   // after a kill: what the client put
  size_t times_held_ = 0, times_unsealed_ = 0;  // before a kill: that it held an object, or wrote one
};

TEST_F(SteppedClientTest, KilledInAGetAndItsRelease) {
  const auto run = [](StoreClient& client) {
    const auto view = client.TryGet(NumberedId(kHeld));
    return view && view->has_value();
  };
  ASSERT_NO_FATAL_FAILURE(KillAtEachPlace({.run = run}));
  EXPECT_GT(times_held_, 0u);
}

TEST_F(SteppedClientTest, KilledInAPostedPut) {
  const auto run = [bytes = BytesFor(kPut, 500)](StoreClient& client) {
    return client.CreateAndSeal(NumberedId(kPut), test::BytesOf(bytes), {}, {}).has_value();
  };
  ASSERT_NO_FATAL_FAILURE(KillAtEachPlace({.run = run, .puts = {kPut}, .size = 500}));
  ExpectBothOutcomes();
}

TEST_F(SteppedClientTest, KilledInAnAsynchronousPut) {
  const auto run = [bytes = BytesFor(kPut, 500)](StoreClient& client) {
    return client.CreateAndSealAsync(NumberedId(kPut), test::BytesOf(bytes), {}, {}) &&
           client.AwaitPuts(Deadline::After(seconds(20)));
  };
  ASSERT_NO_FATAL_FAILURE(KillAtEachPlace({.run = run, .puts = {kPut}, .size = 500}));
  ExpectBothOutcomes();
}

TEST_F(SteppedClientTest, KilledInABatchOfPuts) {
  Operation operation{.run = {}, .puts = {kBatch, kBatch + 1, kBatch + 2}, .size = 700};
  std::vector<std::string> bytes;
  for (const uint64_t number : operation.puts) bytes.push_back(BytesFor(number, operation.size));
  std::vector<BatchObject> objects;
  for (size_t i = 0; i < bytes.size(); ++i)
    objects.push_back({.id = NumberedId(operation.puts[i]), .data = test::BytesOf(bytes[i]), .metadata = {}});
  operation.run = [&objects](StoreClient& client) { return client.CreateAndSealBatch(objects, {}).has_value(); };
  ASSERT_NO_FATAL_FAILURE(KillAtEachPlace(operation));
  ExpectBothOutcomes();
}

TEST_F(SteppedClientTest, KilledInACreatedPut) {
  const auto run = [bytes = BytesFor(kPut, 20'000)](StoreClient& client) {
    return client.CreateAndSeal(NumberedId(kPut), test::BytesOf(bytes), {}, {}).has_value();
  };
  ASSERT_NO_FATAL_FAILURE(KillAtEachPlace({.run = run, .puts = {kPut}, .size = 20'000}));
  ExpectBothOutcomes();
  EXPECT_GT(times_unsealed_, 0u);
}

TEST_F(SteppedClientTest, KilledInAnAbort) {
  const auto run = [](StoreClient& client) {
    auto writer = client.Create(NumberedId(kPut), 20'000, {}, {});
    if (!writer) return false;
    std::memset(writer->data().data(), 'x', writer->data().size());
    return std::move(*writer).Abort().has_value();
  };
  ASSERT_NO_FATAL_FAILURE(KillAtEachPlace({.run = run, .puts = {kPut}, .size = 20'000}));
  EXPECT_EQ(times_there_, 0u) << "it was never sealed";
  EXPECT_GT(times_unsealed_, 0u);
}

// The object is deleted, its memory is used for another, and the id for a third, all between two instructions of a get.
TEST_F(SteppedClientTest, AGetSeesOneObjectWhereTheIdChangesHandsAtAnyInstruction) {
  enum Outcome { kNothing = 10, kFormer = 11, kLatter = 12 };
  std::optional<PinnedObject> view;
  const auto run = [&view](StoreClient& client) {
    auto got = client.TryGet(NumberedId(kHeld));
    if (got && got->has_value()) view = **std::move(got);
    return got.has_value();
  };
  const auto outcome = [&view](bool good) -> int {
    if (!good) return 1;
    if (!view) return kNothing;
    if (view->data().size() != kHeldBytes) return 1;
    if (IsWhole(*view, kHeld)) return kFormer;
    return test::TextOf(view->data()) == std::string(kHeldBytes, 'L') ? kLatter : 1;
  };
  const std::vector<StepPlace> places = PlacesOf(run);
  ASSERT_GT(places.size(), kPlacesUsually);
  size_t former = 0, latter = 0;
  for (size_t at = 0; at < places.size(); at += Stride(places)) {
    SCOPED_TRACE(StrCat("after instruction ", at, " of ", places.size()));
    SteppedChild child([&] { return InChild(run, outcome); });
    ASSERT_TRUE(child.stopped());
    static_cast<void>(child.RunTo(places[at]));
    ASSERT_TRUE(Remove(*other_, kHeld) && Put(*other_, kPut, kHeldBytes));
    const std::string bytes(kHeldBytes, 'L');
    ASSERT_TRUE(other_->CreateAndSeal(NumberedId(kHeld), test::BytesOf(bytes), {}, {}));
    const auto seen = child.GoOn();
    ASSERT_TRUE(seen == kNothing || seen == kFormer || seen == kLatter) << seen.value_or(-1);
    former += seen == kFormer ? 1 : 0;
    latter += seen == kLatter ? 1 : 0;
    ASSERT_TRUE(Remove(*other_, kHeld) && Remove(*other_, kPut) && Put(*other_, kHeld, kHeldBytes));
  }
  EXPECT_GT(former, 0u);
  EXPECT_GT(latter, 0u);
}

// The server dies instead, and another one goes on: so does the call.
TEST_F(SteppedClientTest, ACallGoesOnWhereTheServerIsKilledAtAnyInstruction) {
  const auto run = [small = BytesFor(kPut, 500), large = BytesFor(kPut + 1, 20'000)](StoreClient& client) {
    const auto view = client.TryGet(NumberedId(kHeld));
    return view && view->has_value() && client.CreateAndSeal(NumberedId(kPut), test::BytesOf(small), {}, {}) &&
           client.CreateAndSeal(NumberedId(kPut + 1), test::BytesOf(large), {}, {});
  };
  const std::vector<StepPlace> places = PlacesOf(run);
  ASSERT_GT(places.size(), kPlacesUsually);
  ASSERT_TRUE(Remove(*other_, kPut) && Remove(*other_, kPut + 1));
  for (size_t at = 0; at < places.size(); at += Stride(places)) {
    SCOPED_TRACE(StrCat("after instruction ", at, " of ", places.size()));
    SteppedChild child([&] { return InChild(run); });
    ASSERT_TRUE(child.stopped());
    static_cast<void>(child.RunTo(places[at]));
    const pid_t server = store().server_pid();
    ASSERT_NE(server, store().pid());
    ::kill(server, SIGKILL);
    ASSERT_EQ(child.GoOn(), 0);
    for (const uint64_t number : {kHeld, kPut, kPut + 1}) {
      const auto view = other_->TryGet(NumberedId(number));
      ASSERT_TRUE(view && view->has_value()) << number;
      ASSERT_TRUE(IsWhole(**view, number)) << number;
    }
    ASSERT_TRUE(Remove(*other_, kPut) && Remove(*other_, kPut + 1));
    ASSERT_TRUE(Eventually(seconds(20), [&] { return Look().clients == 1; }));
  }
  ASSERT_TRUE(Remove(*other_, kHeld));
  for (uint64_t number = 0; number < kSizes.size(); ++number) ASSERT_TRUE(Remove(*other_, kOthers + number));
  other_.reset();
  EXPECT_TRUE(Eventually(seconds(20), [&] { return Look() == Ledger{}; })) << Look();
}

}  // namespace
}  // namespace raylet::client
