// The contract of every control store.
#include "raylet/control/control_store.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/strings.h"
#include "tests/raylet/control/control_stores.h"

namespace raylet::test {
namespace {

using Factory = std::unique_ptr<StoreUnderTest> (*)(LoopThread&);

template <class IdType>
IdType IdOf(uint8_t number) {
  IdType id;
  id.mutable_data()[0] = number;
  return id;
}
NodeId NodeOf(uint8_t number) { return IdOf<NodeId>(number); }
ActorId ActorOf(uint8_t number) { return IdOf<ActorId>(number); }

NodeRecord Raylet(uint8_t number, uint64_t epoch, std::string address) {
  return {NodeOf(number), epoch, MachineNumber{number}, std::move(address), "0.1.0"};
}

NameEntry EntryOf(const std::string& name, uint8_t actor, uint64_t epoch, uint8_t node) {
  return {"space", name, ActorOf(actor), epoch, NodeOf(node)};
}

class ControlStoreTest : public ::testing::TestWithParam<Factory> {
 protected:
  void SetUp() override {
    under_test_ = GetParam()(thread_);
    ASSERT_TRUE(Do<void>(&ControlStore::MarkRestored));
  }
  void TearDown() override {
    thread_.Run([this] { under_test_.reset(); });
  }

  // Makes a call and waits for its answer.
  template <class T, class... Parameters, class... Arguments>
  Result<T> Do(void (ControlStore::*verb)(Parameters...), const Arguments&... arguments) {
    return thread_.Await<T>([this, verb, arguments...](Done<T> done) {
      (under_test_->store().*verb)(arguments..., Deadline::AfterMs(30'000), std::move(done));
    });
  }
  Result<void> TakeName(const NameEntry& entry, std::optional<NameEntry> instead_of = {}) {
    return Do<void>(&ControlStore::TakeName, entry, instead_of);
  }
  Result<NameEntry> FindName(const std::string& name) {
    return Do<NameEntry>(&ControlStore::FindName, std::string("space"), name);
  }
  Result<ControlStore::Renewal> Renew(const NodeRecord& record) {
    return Do<ControlStore::Renewal>(&ControlStore::RenewNode, record);
  }
  Result<uint64_t> Put(const std::string& key, const std::string& value, bool only_if_absent = false) {
    return Do<uint64_t>(&ControlStore::PutKey, key, value, only_if_absent);
  }
  Result<KeyValue> Get(const std::string& key) { return Do<KeyValue>(&ControlStore::GetKey, key); }
  std::vector<std::string> Keys(const std::string& prefix) {
    auto keys = Do<std::vector<std::string>>(&ControlStore::ListKeys, prefix);
    EXPECT_TRUE(keys) << (keys ? "" : keys.error().message);
    std::sort(keys->begin(), keys->end());
    return *keys;
  }
  template <class T>
  static void ExpectRefused(const Result<T>& result, ErrorCode code, const std::string& word) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().message;
    EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
  }

  LoopThread thread_;
  std::unique_ptr<StoreUnderTest> under_test_;
};

TEST_P(ControlStoreTest, ALeaseIsFreshOnceAndThenProlonged) {
  const NodeRecord record = Raylet(1, 7, "10.0.0.1:7000");
  auto renewed = Renew(record);
  ASSERT_TRUE(renewed) << renewed.error().message;
  EXPECT_TRUE(renewed->fresh);
  const uint64_t connection = renewed->connection;
  renewed = Renew(record);
  ASSERT_TRUE(renewed);
  EXPECT_FALSE(renewed->fresh);
  EXPECT_EQ(renewed->connection, connection);
  under_test_->Flush();
  renewed = Renew(record);
  ASSERT_TRUE(renewed);
  EXPECT_TRUE(renewed->fresh);
}

TEST_P(ControlStoreTest, LivingRayletsAreListedUntilTheyLeave) {
  const NodeRecord first = Raylet(1, 7, "10.0.0.1:7000"), second = Raylet(2, 8, "[::1]:7000");
  ASSERT_TRUE(Renew(first) && Renew(second));
  auto nodes = Do<std::vector<NodeRecord>>(&ControlStore::ListNodes);
  ASSERT_TRUE(nodes) << nodes.error().message;
  std::sort(nodes->begin(), nodes->end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  EXPECT_EQ(*nodes, (std::vector{first, second}));
  EXPECT_TRUE(Do<void>(&ControlStore::RemoveNode, second.id, second.epoch - 1));  // not that life
  EXPECT_TRUE(Do<void>(&ControlStore::RemoveNode, first.id, first.epoch));
  EXPECT_TRUE(Do<void>(&ControlStore::RemoveNode, first.id, first.epoch));
  nodes = Do<std::vector<NodeRecord>>(&ControlStore::ListNodes);
  ASSERT_TRUE(nodes);
  EXPECT_EQ(*nodes, std::vector{second});
}

TEST_P(ControlStoreTest, TwoRayletsWithOneNodeIdAreToldOfEachOther) {
  ASSERT_TRUE(Renew(Raylet(1, 7, "10.0.0.1:7000")));
  ExpectRefused(Renew(Raylet(1, 8, "10.0.0.2:7000")), ErrorCode::kAlreadyExists, "10.0.0.1:7000");
  ExpectRefused(Renew(Raylet(1, 6, "10.0.0.1:7000")), ErrorCode::kAlreadyExists, "two raylets with one node id");
  EXPECT_TRUE(Renew(Raylet(1, 8, "10.0.0.1:7000")));  // started again where it was
  ExpectRefused(Renew({NodeId(), 1, MachineNumber{1}, "10.0.0.1:7000", ""}), ErrorCode::kInvalid, "without a node id");
}

TEST_P(ControlStoreTest, ProcessNumbersAreHandedOutOnce) {
  const MachineEntry first{NodeOf(1), 7}, second{NodeOf(2), 7};
  EXPECT_TRUE(Do<void>(&ControlStore::TakeMachineNumber, MachineNumber{5}, first));
  EXPECT_TRUE(Do<void>(&ControlStore::TakeMachineNumber, MachineNumber{5}, first));  // again, after a lost answer
  ExpectRefused(Do<void>(&ControlStore::TakeMachineNumber, MachineNumber{5}, second), ErrorCode::kAlreadyExists,
                first.node.hex());
  EXPECT_TRUE(Do<void>(&ControlStore::TakeMachineNumber, MachineNumber{6}, second));
}

TEST_P(ControlStoreTest, ANameBelongsToOneActor) {
  const NameEntry first = EntryOf("server", 1, 3, 1);
  ExpectRefused(FindName("server"), ErrorCode::kNotFound, "server");
  ASSERT_TRUE(TakeName(first));
  EXPECT_TRUE(TakeName(first));  // again, after a lost answer
  ExpectRefused(TakeName(EntryOf("server", 2, 9, 2)), ErrorCode::kAlreadyExists, first.actor.hex());
  const auto found = FindName("server");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(*found, first);
  // Namespaces are apart, whatever bytes their names have.
  EXPECT_TRUE(TakeName({"spaceser", "ver", ActorOf(3), 1, NodeOf(1)}));
  EXPECT_TRUE(TakeName({std::string("sp\0ace*", 7), "s er\xff", ActorOf(4), 1, NodeOf(1)}));
  EXPECT_EQ(FindName("server")->actor, first.actor);
}

TEST_P(ControlStoreTest, AnActorThatMovesKeepsItsNameWithALargerEpoch) {
  ASSERT_TRUE(TakeName(EntryOf("server", 1, 3, 1)));
  EXPECT_TRUE(TakeName(EntryOf("server", 1, 4, 2)));
  ExpectRefused(TakeName(EntryOf("server", 1, 3, 1)), ErrorCode::kWrongState, "too late");
  ExpectRefused(Do<void>(&ControlStore::RestoreName, EntryOf("server", 1, 3, 1)), ErrorCode::kAlreadyExists, "server");
  EXPECT_EQ(FindName("server")->node, NodeOf(2));
}

TEST_P(ControlStoreTest, ANameIsReleasedByItsOwnerAlone) {
  ASSERT_TRUE(TakeName(EntryOf("server", 1, 3, 1)));
  EXPECT_TRUE(Do<void>(&ControlStore::ReleaseName, EntryOf("server", 2, 9, 2)));
  EXPECT_TRUE(Do<void>(&ControlStore::ReleaseName, EntryOf("server", 1, 2, 1)));
  EXPECT_TRUE(FindName("server"));
  EXPECT_TRUE(Do<void>(&ControlStore::ReleaseName, EntryOf("server", 1, 3, 1)));
  EXPECT_TRUE(Do<void>(&ControlStore::ReleaseName, EntryOf("server", 1, 3, 1)));
  EXPECT_FALSE(FindName("server"));
  EXPECT_TRUE(TakeName(EntryOf("server", 2, 1, 2)));
}

TEST_P(ControlStoreTest, ADeadRayletsNameIsTakenOverByOneOnly) {
  const NameEntry dead = EntryOf("server", 1, 3, 1);
  ASSERT_TRUE(TakeName(dead));
  ExpectRefused(TakeName(EntryOf("server", 2, 3, 2), dead), ErrorCode::kAlreadyExists,
                dead.node.hex());  // no larger epoch
  EXPECT_TRUE(TakeName(EntryOf("server", 2, 4, 2), dead));
  EXPECT_TRUE(TakeName(EntryOf("server", 2, 4, 2), dead));  // again, after a lost answer
  ExpectRefused(TakeName(EntryOf("server", 3, 4, 3), dead), ErrorCode::kAlreadyExists, ActorOf(2).hex());
  // The raylet was not dead after all, and restores its entry.
  ExpectRefused(Do<void>(&ControlStore::RestoreName, dead), ErrorCode::kAlreadyExists, ActorOf(2).hex());
}

TEST_P(ControlStoreTest, AnEmptiedStoreTakesRestoredItemsBeforeNewOnes) {
  const NameEntry old = EntryOf("server", 1, 3, 1), newer = EntryOf("server", 2, 4, 2);
  ASSERT_TRUE(TakeName(old));
  ASSERT_TRUE(Put("key", "value"));
  under_test_->Flush();
  EXPECT_FALSE(*Do<bool>(&ControlStore::IsRestored));
  ExpectRefused(TakeName(EntryOf("server", 9, 9, 9)), ErrorCode::kUnavailable, "try again");
  ExpectRefused(Put("key", "new"), ErrorCode::kUnavailable, "try again");
  ExpectRefused(Do<uint64_t>(&ControlStore::DeleteKey, std::string("key")), ErrorCode::kUnavailable, "try again");
  // Two raylets both believe that they own it: the larger epoch does, in either order.
  EXPECT_TRUE(Do<void>(&ControlStore::RestoreName, old));
  EXPECT_TRUE(Do<void>(&ControlStore::RestoreName, old));
  EXPECT_TRUE(Do<void>(&ControlStore::RestoreName, newer));
  ExpectRefused(Do<void>(&ControlStore::RestoreName, old), ErrorCode::kAlreadyExists, newer.actor.hex());
  EXPECT_TRUE(Do<void>(&ControlStore::RestoreKey, KeyValue{"key", "value", 1, false}));
  ASSERT_TRUE(Do<void>(&ControlStore::MarkRestored));
  EXPECT_EQ(FindName("server")->actor, newer.actor);
  EXPECT_EQ(Get("key")->value, "value");
  EXPECT_EQ(*Put("key", "new"), 2u);
}

TEST_P(ControlStoreTest, AnActorIsWhereItsLargestEpochIs) {
  using enum wire::ActorState;
  const ActorPlacement first{ActorOf(1), NodeOf(1), 1, Pending};
  ExpectRefused(Do<ActorPlacement>(&ControlStore::FindActor, ActorOf(1)), ErrorCode::kNotFound, ActorOf(1).hex());
  ASSERT_TRUE(Do<void>(&ControlStore::PlaceActor, first));
  EXPECT_TRUE(Do<void>(&ControlStore::PlaceActor, ActorPlacement{ActorOf(1), NodeOf(1), 1, Alive}));
  ExpectRefused(Do<void>(&ControlStore::PlaceActor, ActorPlacement{ActorOf(1), NodeOf(2), 1, Alive}),
                ErrorCode::kWrongState, "too late");
  const ActorPlacement moved{ActorOf(1), NodeOf(2), 2, Alive};
  EXPECT_TRUE(Do<void>(&ControlStore::PlaceActor, moved));
  ExpectRefused(Do<void>(&ControlStore::PlaceActor, first), ErrorCode::kWrongState, "too late");
  EXPECT_TRUE(Do<void>(&ControlStore::ForgetActor, ActorOf(1), uint64_t{1}));
  EXPECT_EQ(*Do<ActorPlacement>(&ControlStore::FindActor, ActorOf(1)), moved);
  EXPECT_TRUE(Do<void>(&ControlStore::ForgetActor, ActorOf(1), uint64_t{2}));
  EXPECT_FALSE(Do<ActorPlacement>(&ControlStore::FindActor, ActorOf(1)));
}

TEST_P(ControlStoreTest, PairsHaveVersions) {
  EXPECT_EQ(*Put("key", "one"), 1u);
  EXPECT_EQ(*Put("key", "two"), 2u);
  EXPECT_EQ(*Put("key", "two"), 2u);  // again, after a lost answer
  EXPECT_EQ(*Get("key"), (KeyValue{"key", "two", 2, false}));
  ExpectRefused(Put("key", "three", true), ErrorCode::kAlreadyExists, "key");
  EXPECT_EQ(*Do<uint64_t>(&ControlStore::DeleteKey, std::string("key")), 3u);
  EXPECT_EQ(*Do<uint64_t>(&ControlStore::DeleteKey, std::string("key")), 3u);
  ExpectRefused(Get("key"), ErrorCode::kNotFound, "key");
  // The raylet that put the second version learns that the pair is gone.
  ExpectRefused(Do<void>(&ControlStore::RestoreKey, KeyValue{"key", "two", 2, false}), ErrorCode::kWrongState, "late");
  EXPECT_EQ(*Put("key", "three", true), 4u);
  EXPECT_EQ(*Do<uint64_t>(&ControlStore::DeleteKey, std::string("absent")), 0u);
}

TEST_P(ControlStoreTest, PairsTakeAnyBytesUpToTheirBounds) {
  const std::string bytes("\0\r\n\xff *?[x]\\", 12);
  ASSERT_TRUE(Put(bytes, bytes));
  EXPECT_EQ(Get(bytes)->value, bytes);
  ASSERT_TRUE(Put("big", std::string(kControlValueBytesMax, 'x')));
  EXPECT_EQ(Get("big")->value.size(), kControlValueBytesMax);
  ExpectRefused(Put("big", std::string(kControlValueBytesMax + 1, 'x')), ErrorCode::kTooLarge, "object store");
  ExpectRefused(Put(std::string(kControlKeyBytesMax + 1, 'x'), ""), ErrorCode::kInvalid, "shorter");
  ExpectRefused(Put("", ""), ErrorCode::kInvalid, "empty");
}

TEST_P(ControlStoreTest, KeysAreListedByTheirPrefixAsItIs) {
  for (const char* key : {"a*b", "a*c", "axb", "a[b]", "a?b", "a\\b", "b"}) ASSERT_TRUE(Put(key, "x"));
  EXPECT_EQ(Keys("a*"), (std::vector<std::string>{"a*b", "a*c"}));
  EXPECT_EQ(Keys("a["), std::vector<std::string>{"a[b]"});
  EXPECT_EQ(Keys("a?"), std::vector<std::string>{"a?b"});
  EXPECT_EQ(Keys("a\\"), std::vector<std::string>{"a\\b"});
  EXPECT_EQ(Keys("").size(), 7u);
  EXPECT_TRUE(Keys("none").empty());
  ASSERT_TRUE(Do<uint64_t>(&ControlStore::DeleteKey, std::string("a*b")));
  EXPECT_EQ(Keys("a*"), std::vector<std::string>{"a*c"});
}

TEST_P(ControlStoreTest, ManyCallsAtOnceAreAllAnswered) {
  constexpr int kCalls = 500;
  struct Tally {
    int answers = 0, refused = 0;
  };
  const auto tally = std::make_shared<Tally>();
  const auto all = thread_.Await<void>([this, tally](Done<void> done) {
    for (int i = 0; i < kCalls; ++i) {
      // Ten actors want each name.
      const NameEntry entry = EntryOf(StrCat("name", i / 10), static_cast<uint8_t>(1 + i % 10), 1, 1);
      under_test_->store().TakeName(entry, {}, Deadline::AfterMs(30'000), [tally, done](Result<void> taken) {
        tally->refused += taken ? 0 : 1;
        if (++tally->answers == kCalls) done({});
      });
    }
    EXPECT_EQ(tally->answers, 0);  // never from inside the call
  });
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ(tally->refused, kCalls - kCalls / 10);
}

std::string StoreName(const ::testing::TestParamInfo<Factory>& info) {
  return info.param == &MakeMemoryStore ? "InMemory" : "InRedis";
}

INSTANTIATE_TEST_SUITE_P(Both, ControlStoreTest, ::testing::Values(&MakeMemoryStore, &MakeRedisStore), StoreName);

}  // namespace
}  // namespace raylet::test
