// Small puts without a message, on a real plasma_store.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <thread>

#include "base/strings.h"
#include "client/plasma/mapped_index.h"
#include "tests/client/plasma/connecting_fixture.h"

namespace raylet::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::BytesOf;
using test::Eventually;
using test::TextOf;

constexpr int kPutsUntilOpen = 8;  // the ring is open after fewer

class LeasedWriterTest : public test::ConnectingTest {
 protected:
  // A client whose puts go by its ring.
  std::shared_ptr<StoreClient> Open(Duration patience = seconds(30), uint32_t heir = 0) {
    auto client = Connect(patience, heir);
    for (int i = 0; i < kPutsUntilOpen; ++i) Put(*client, "first");
    const uint64_t sent = client->bytes_sent();
    Put(*client, "first");
    EXPECT_EQ(client->bytes_sent(), sent) << "a put that sends a message";
    return client;
  }
  static ObjectId Put(StoreClient& client, std::string_view data, std::string_view metadata = "") {
    const auto id = ObjectId::FromRandom();
    const auto put = client.CreateAndSeal(id, BytesOf(data), BytesOf(metadata), {});
    EXPECT_TRUE(put) << put.error().message;
    return id;
  }
  const IndexCounters& Counters() {
    if (!index_) index_.emplace(*MappedIndex::OpenByName(socket()));
    return index_->header().counters;
  }
  // What the arena has handed out belongs to objects.
  bool NothingIsLeased() {
    return Counters().leased_bytes == 0 && Counters().unsealed_count == 0 && Counters().dying_count == 0;
  }
  uint64_t CpuTicksOfStore() {
    std::ifstream file(StrCat("/proc/", store().pid(), "/stat"));
    std::string word;
    uint64_t user = 0, system = 0;
    for (int i = 1; i <= 13; ++i) file >> word;
    file >> user >> system;
    return user + system;
  }

 private:
  std::optional<MappedIndex> index_;
};

TEST_F(LeasedWriterTest, PutIsVisibleToAllOnReturnWithoutAMessage) {
  const auto client = Open(), other = Connect();
  const uint64_t sent = client->bytes_sent(), received = client->bytes_received();
  for (size_t bytes = 0; bytes <= 4096; bytes += 97) {
    const std::string data(bytes, 'd'), metadata(bytes / 50, 'm');
    const auto id = Put(*client, data, bytes + bytes / 50 + 64 <= 4096 ? metadata : "");
    const auto view = other->Get(id, Deadline::AfterMs(0));
    ASSERT_TRUE(view) << view.error().message;
    EXPECT_EQ(TextOf(view->data()), data);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(view->data().data()) % kAlignment, 0u);
  }
  EXPECT_EQ(client->bytes_sent(), sent);
  EXPECT_EQ(client->bytes_received(), received);
}

TEST_F(LeasedWriterTest, FailuresAreThoseOfAMessage) {
  const auto client = Open(), by_messages = Connect();
  const auto there = Put(*client, "there");
  const auto failure = [&](StoreClient& store, const ObjectId& id, const CreateOptions& options) {
    const auto put = store.CreateAndSeal(id, BytesOf("again"), {}, options);
    return put ? Error{ErrorCode::kOk, ""} : put.error();
  };
  const Error exists = failure(*client, there, {});
  EXPECT_EQ(exists.code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(exists.message, failure(*by_messages, there, {}).message);
  CreateOptions owned;
  owned.owned = true;
  owned.owner = 999;
  const auto free = ObjectId::FromRandom();
  const Error no_owner = failure(*client, free, owned);
  EXPECT_EQ(no_owner.code, ErrorCode::kNotFound);
  EXPECT_EQ(no_owner.message, failure(*by_messages, free, owned).message);
  // The whole store is being written.
  auto writer = by_messages->Create(ObjectId::FromRandom(), 64 << 20, {}, {});
  ASSERT_TRUE(writer) << writer.error().message;
  const Error full = failure(*client, free, {});
  EXPECT_EQ(full.code, ErrorCode::kFull);
  EXPECT_NE(full.message.find("StoreFull"), std::string::npos) << full.message;
  ASSERT_TRUE(std::move(*writer).Abort());
  EXPECT_TRUE(client->CreateAndSeal(free, BytesOf("now"), {}, {}));
  ASSERT_TRUE(client->SetOptions("small", 100));
  EXPECT_EQ(client->CreateAndSeal(ObjectId::FromRandom(), BytesOf(std::string(101, 'x')), {}, {}).error().code,
            ErrorCode::kTooLarge);
}

TEST_F(LeasedWriterTest, OwnedPutGoesToTheHeir) {
  const auto heir = Connect();
  auto client = Open(seconds(30), heir->client_number());
  CreateOptions owned;
  owned.owned = true;
  const auto id = ObjectId::FromRandom();
  ASSERT_TRUE(client->CreateAndSeal(id, BytesOf("mine"), {}, owned));
  EXPECT_TRUE((*heir->Describe(id))->owned);
  client.reset();
  ASSERT_TRUE(Eventually(seconds(30), [&] { return Counters().clients == 1; }));
  EXPECT_TRUE(*heir->Contains(id));
  EXPECT_TRUE(heir->SetOwner({&id, 1}, 0)) << "it is the heir's";
}

TEST_F(LeasedWriterTest, PutsAndMessagesOfOneClientKeepTheirOrder) {
  const auto client = Open();
  for (int round = 0; round < 300; ++round) {
    const auto id = ObjectId::FromRandom();
    ASSERT_TRUE(client->CreateAndSealAsync(id, BytesOf("a"), {}, {}));
    ASSERT_TRUE(client->DeleteAsync({&id, 1}));  // after the put
    ASSERT_TRUE(client->CreateAndSeal(id, BytesOf("b"), {}, {})) << "after the delete";
    auto writer = client->Create(ObjectId::FromRandom(), 10, {}, {});
    ASSERT_TRUE(writer);
    const auto sealed = writer->id();
    ASSERT_TRUE(std::move(*writer).SealAsync());
    EXPECT_EQ(client->Delete({&sealed, 1})->front(), ErrorCode::kOk) << "after the seal";
  }
  EXPECT_TRUE(client->AwaitPuts(Deadline::After(seconds(30))));
}

TEST_F(LeasedWriterTest, AsynchronousPutsAreAllVisibleAfterTheAwaitAlsoWithEvictions) {
  const auto client = Open(), other = Connect();
  std::vector<ObjectId> ids(100'000);  // 100 MB into 64 MB
  const std::string data(1000, 'x');
  for (ObjectId& id : ids) {
    id = ObjectId::FromRandom();
    ASSERT_TRUE(client->CreateAndSealAsync(id, BytesOf(data), {}, {}));
  }
  ASSERT_TRUE(client->AwaitPuts(Deadline::After(seconds(20))));
  EXPECT_GT(Counters().evictions, 0u);
  EXPECT_EQ(Counters().creates, ids.size() + kPutsUntilOpen + 1);
  for (size_t i = ids.size() - 10'000; i < ids.size(); ++i) ASSERT_TRUE(*other->Contains(ids[i])) << i;
}

TEST_F(LeasedWriterTest, AwaitReportsTheFirstAsynchronousFailureOnce) {
  const auto client = Open();
  const auto there = Put(*client, "there");
  ASSERT_TRUE(client->CreateAndSealAsync(there, BytesOf("again"), {}, {}));
  const auto later = ObjectId::FromRandom();
  ASSERT_TRUE(client->CreateAndSealAsync(later, BytesOf("later"), {}, {}));
  const auto failed = client->AwaitPuts(Deadline::After(seconds(30)));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kAlreadyExists);
  EXPECT_NE(failed.error().message.find(there.hex()), std::string::npos);
  EXPECT_TRUE(client->AwaitPuts(Deadline::After(seconds(30))));
  EXPECT_TRUE(*client->Contains(later));
  EXPECT_EQ(TextOf(client->Get(there, Deadline::AfterMs(0))->data()), "there");
}

TEST_F(LeasedWriterTest, BatchIsAllOrNothingWithoutAMessage) {
  const auto client = Open(), other = Connect();
  std::vector<BatchObject> batch;
  std::vector<std::string> texts;
  for (int i = 0; i < 100; ++i) texts.push_back(std::string(static_cast<size_t>(i * 30), 'b'));
  for (const std::string& text : texts) batch.push_back({ObjectId::FromRandom(), BytesOf(text), BytesOf("m")});
  ASSERT_TRUE(client->CreateAndSealBatch(batch, {}));
  for (size_t i = 0; i < batch.size(); ++i) {
    EXPECT_EQ(TextOf(other->Get(batch[i].id, Deadline::AfterMs(0))->data()), texts[i]);
    batch[i].id = ObjectId::FromRandom();
  }
  const uint64_t sent = client->bytes_sent();
  ASSERT_TRUE(client->CreateAndSealBatch(batch, {}));
  EXPECT_EQ(client->bytes_sent(), sent);
  const auto there = batch.back().id;
  for (BatchObject& object : batch) object.id = ObjectId::FromRandom();
  batch.back().id = there;
  EXPECT_EQ(client->CreateAndSealBatch(batch, {}).error().code, ErrorCode::kAlreadyExists);
  EXPECT_FALSE(*other->Contains(batch.front().id));
}

TEST_F(LeasedWriterTest, SeveralThreadsPutThroughOneRing) {
  const auto client = Open();
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 2'000; ++i) {
        const std::string text = StrCat(thread, ".", i);
        const auto id = ObjectId::FromRandom();
        const bool later = i % 3 == 0;
        const auto put = later ? client->CreateAndSealAsync(id, BytesOf(text), {}, {})
                               : client->CreateAndSeal(id, BytesOf(text), {}, {});
        const auto view = client->Get(id, Deadline::After(seconds(30)));
        if (!put || !view || TextOf(view->data()) != text) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(client->AwaitPuts(Deadline::After(seconds(30))));
}

TEST_F(LeasedWriterTest, AnIdleStoreAndItsClientUseNoCpu) {
  const auto client = Open();
  for (int i = 0; i < 2'000; ++i) Put(*client, "busy");
  // Its thread that touches pages ahead may be busy at first.
  EXPECT_TRUE(Eventually(seconds(30), [&] {
    const uint64_t before = CpuTicksOfStore();
    ::usleep(150'000);
    return CpuTicksOfStore() == before;
  })) << "it never rests for 15 ticks";
  EXPECT_TRUE(*client->Contains(Put(*client, "woken")));
}

TEST_F(LeasedWriterTest, LeasesGiveWayToALargeObjectAndComeBack) {
  const auto client = Open(), other = Connect();
  for (size_t bytes = 64; bytes <= 4096; bytes *= 2) Put(*client, std::string(bytes - 1, 'x'));
  EXPECT_GT(Counters().leased_bytes, 0u);
  const auto large = ObjectId::FromRandom();
  ASSERT_TRUE(other->CreateAndSeal(large, std::vector<std::byte>(64 << 20), {}, {}));
  EXPECT_TRUE(*client->Contains(Put(*client, "evicts the large one")));
  EXPECT_FALSE(*client->Contains(large));
}

TEST_F(LeasedWriterTest, StoppedStoreEndsAPutAtItsPatienceAndADeadOneAtOnce) {
  const auto client = Open(milliseconds(1500));
  store().Signal(SIGSTOP);
  const auto late = ObjectId::FromRandom();
  EXPECT_EQ(client->CreateAndSeal(late, BytesOf("late"), {}, {}).error().code, ErrorCode::kTimedOut);
  store().Signal(SIGCONT);
  EXPECT_TRUE(Eventually(seconds(30), [&] { return *client->Contains(late); })) << "it may be there yet";
  const auto patient = Open(seconds(30));
  store().Signal(SIGSTOP);
  std::thread killer([&] {
    ::usleep(50'000);
    store().Kill();
  });
  const TimePoint start = std::chrono::steady_clock::now();
  EXPECT_EQ(patient->CreateAndSeal(ObjectId::FromRandom(), BytesOf("x"), {}, {}).error().code,
            ErrorCode::kDisconnected);
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(15));
  killer.join();
}

TEST_F(LeasedWriterTest, DisconnectEndsAPutThatWaits) {
  const auto client = Open();
  store().Signal(SIGSTOP);
  std::thread ender([&] {
    ::usleep(50'000);
    client->Disconnect();
  });
  const auto put = client->CreateAndSeal(ObjectId::FromRandom(), BytesOf("x"), {}, {});
  ender.join();
  store().Signal(SIGCONT);
  EXPECT_EQ(put.error().code, ErrorCode::kDisconnected);
}

// Clients that put by all their ways, killed at any moment.
TEST_F(LeasedWriterTest, KilledClientLeavesNoRunBehind) {
  std::mt19937 random{2021};
  for (int round = 0; round < 60; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const auto client = Connect();
      const std::string text(4000, 'k');
      for (uint32_t i = 0;; ++i) {
        const auto data = BytesOf(text).first(i * 37 % 4000);
        const auto id = ObjectId::FromRandom();
        switch (i % 4) {
          case 0: static_cast<void>(client->CreateAndSeal(id, data, {}, {})); break;
          case 1:
          case 2: static_cast<void>(client->CreateAndSealAsync(id, data, {}, {})); break;
          default: {
            const BatchObject batch[] = {{id, data, {}}, {ObjectId::FromRandom(), data, {}}};
            static_cast<void>(client->CreateAndSealBatch(batch, {}));
          }
        }
      }
    }
    ::usleep(2'000 + random() % 8'000);
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  }
  EXPECT_TRUE(Eventually(seconds(30), [&] { return Counters().clients == 0 && NothingIsLeased(); }));
  const auto client = Connect();
  ASSERT_TRUE(client->Evict(64 << 20));
  EXPECT_EQ(Counters().sealed_bytes, 0u);
  EXPECT_EQ(Counters().physical_bytes, 0u) << "a run belongs to nobody";
}

}  // namespace
}  // namespace raylet::client
