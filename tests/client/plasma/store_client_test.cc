// The verbs of StoreClient against a real plasma_store.
#include "client/plasma/store_client.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <thread>
#include <vector>

#include "base/shm_segment.h"
#include "client/plasma/store_watch.h"
#include "fbs/segment_layout.h"
#include "tests/client/plasma/store_fixture.h"

namespace raylet::client {
namespace {

using std::chrono::seconds;
using test::BytesOf;
using test::Eventually;
using test::TextOf;

constexpr uint64_t kMiB = uint64_t{1} << 20;

class StoreClientTest : public test::PlasmaStoreTest {
 protected:
  std::shared_ptr<StoreClient> Connect(const std::string& name = "test") {
    auto client = StoreClient::Connect(socket(), name, Deadline::After(seconds(30)), false);
    if (!client) {
      ADD_FAILURE() << client.error().message;
      std::abort();
    }
    return *client;
  }
  static ObjectId Put(StoreClient& client, std::string_view data, std::string_view metadata = {}) {
    const auto id = ObjectId::FromRandom();
    const auto put = client.CreateAndSeal(id, BytesOf(data), BytesOf(metadata), {});
    EXPECT_TRUE(put) << put.error().message;
    return id;
  }
  static ObjectId PutLarge(StoreClient& client, uint64_t bytes) {
    const auto id = ObjectId::FromRandom();
    auto writer = client.Create(id, bytes, {}, {});
    EXPECT_TRUE(writer) << writer.error().message;
    if (writer) {
      EXPECT_TRUE(std::move(*writer).Seal());
    }
    return id;
  }
};

// The index has memory for 32,768 objects from the start.
TEST_F(StoreClientTest, MoreObjectsThanTheFirstEntriesHoldAreAllThereAndInTheList) {
  const auto client = Connect(), reader = Connect("reader");
  constexpr size_t kObjects = 45'000;
  std::vector<ObjectId> ids(kObjects);
  for (ObjectId& id : ids) {
    id = ObjectId::FromRandom();
    const auto put = client->CreateAndSeal(id, BytesOf("small"), {}, {.evict_if_full = false, .owned = true});
    ASSERT_TRUE(put) << put.error().message;
  }
  for (const ObjectId& id : ids) {
    const auto view = reader->TryGet(id);
    ASSERT_TRUE(view && view->has_value());
    ASSERT_EQ(TextOf((*view)->data()), "small");
  }
  auto list = reader->List();
  ASSERT_TRUE(list);
  std::vector<ObjectId> listed;
  for (const ObjectInfo& info : *list) listed.push_back(info.id);
  std::ranges::sort(ids);
  std::ranges::sort(listed);
  EXPECT_TRUE(listed == ids);
  // They go, and their entries are used again.
  const auto deleted = client->Delete(ids);
  ASSERT_TRUE(deleted) << deleted.error().message;
  EXPECT_EQ(std::ranges::count(*deleted, ErrorCode::kOk), std::ptrdiff_t{kObjects});
  list = reader->List();
  ASSERT_TRUE(list);
  EXPECT_TRUE(list->empty());
  const auto again = Put(*client, "again");
  EXPECT_TRUE(*reader->Contains(again));
  EXPECT_FALSE(*reader->Contains(ids.front()));
}

TEST_F(StoreClientTest, ObjectSealedByOneClientIsGotByAnother) {
  const auto creator = Connect("creator"), reader = Connect("reader");
  EXPECT_NE(creator->client_number(), reader->client_number());
  EXPECT_EQ(reader->capacity_bytes(), 64 * kMiB);
  const auto id = ObjectId::FromRandom();
  auto writer = creator->Create(id, 100'000, BytesOf("meta"), {});
  ASSERT_TRUE(writer) << writer.error().message;
  EXPECT_EQ(reinterpret_cast<uintptr_t>(writer->data().data()) % 64, 0u);
  std::ranges::fill(writer->data(), std::byte{42});
  EXPECT_EQ(reader->TryGet(id)->has_value(), false);
  EXPECT_FALSE(*reader->Contains(id));
  ASSERT_TRUE(std::move(*writer).Seal());
  EXPECT_FALSE(*writer);
  EXPECT_TRUE(*reader->Contains(id));
  const auto view = reader->Get(id, Deadline::AfterMs(0));
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->data().size(), 100'000u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(view->data().data()) % 64, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(view->metadata().data()) % 64, 0u);
  EXPECT_EQ(std::ranges::count(view->data(), std::byte{42}), 100'000);
  EXPECT_EQ(TextOf(view->metadata()), "meta");
}

TEST_F(StoreClientTest, SmallAndEmptyObjectsComeBackAsTheyWere) {
  const auto client = Connect();
  for (const size_t size : {0, 1, 63, 64, 65, 1024, 16384, 16385, 70000}) {
    const std::string data(size, 'd'), metadata(size % 100, 'm');
    const auto id = Put(*client, data, metadata);
    const auto view = client->Get(id, Deadline::AfterMs(0));
    ASSERT_TRUE(view) << view.error().message;
    EXPECT_EQ(TextOf(view->data()), data);
    EXPECT_EQ(TextOf(view->metadata()), metadata);
  }
}

TEST_F(StoreClientTest, SecondCreateOfAnIdIsRefused) {
  const auto client = Connect(), other = Connect();
  const auto id = ObjectId::FromRandom();
  auto writer = client->Create(id, 10, {}, {});
  ASSERT_TRUE(writer);
  EXPECT_EQ(other->Create(id, 10, {}, {}).error().code, ErrorCode::kAlreadyExists);
  ASSERT_TRUE(std::move(*writer).Seal());
  EXPECT_EQ(other->CreateAndSeal(id, BytesOf("x"), {}, {}).error().code, ErrorCode::kAlreadyExists);
}

TEST_F(StoreClientTest, OnlyTheCreatorSealsAndAborts) {
  const auto client = Connect(), other = Connect();
  const auto id = ObjectId::FromRandom();
  auto writer = client->Create(id, 10, {}, {});
  ASSERT_TRUE(writer);
  EXPECT_FALSE(other->Seal(id));
  EXPECT_FALSE(other->Abort(id));
  EXPECT_EQ(client->Seal(ObjectId::FromRandom()).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(client->Abort(ObjectId::FromRandom()).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(std::move(*writer).Seal());
  EXPECT_EQ(client->Seal(id).error().code, ErrorCode::kWrongState);
  EXPECT_EQ(client->Abort(id).error().code, ErrorCode::kWrongState);
  EXPECT_TRUE(*client->Contains(id));
}

TEST_F(StoreClientTest, AbortedAndDroppedWritersFreeTheirId) {
  const auto client = Connect();
  const auto id = ObjectId::FromRandom();
  auto writer = client->Create(id, 10, {}, {});
  ASSERT_TRUE(writer);
  ASSERT_TRUE(std::move(*writer).Abort());
  {
    const auto dropped = client->Create(id, 20, {}, {});
    ASSERT_TRUE(dropped) << dropped.error().message;
  }
  auto third = client->Create(id, 30, {}, {});
  ASSERT_TRUE(third) << third.error().message;
  ASSERT_TRUE(std::move(*third).Seal());
  EXPECT_EQ(client->Get(id, Deadline::AfterMs(0))->data().size(), 30u);
}

TEST_F(StoreClientTest, DetachedWriterIsSealedById) {
  const auto client = Connect();
  const auto id = ObjectId::FromRandom();
  auto writer = client->Create(id, 3, {}, {});
  ASSERT_TRUE(writer);
  std::memcpy(writer->data().data(), "abc", 3);
  std::move(*writer).Detach();
  ASSERT_TRUE(client->SealAsync(id));
  const auto view = client->Get(id, Deadline::After(seconds(30)));
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(TextOf(view->data()), "abc");
}

TEST_F(StoreClientTest, SealAndViewKeepsTheObjectThroughADelete) {
  const auto client = Connect(), other = Connect();
  const auto id = ObjectId::FromRandom();
  auto writer = client->Create(id, 5, BytesOf("m"), {});
  ASSERT_TRUE(writer);
  std::memcpy(writer->data().data(), "fives", 5);
  auto view = std::move(*writer).SealAndView();
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(other->Delete({&id, 1})->front(), ErrorCode::kOk);
  EXPECT_FALSE(*other->Contains(id));
  for (int i = 0; i < 60; ++i) PutLarge(*other, 2 * kMiB);  // would reuse its memory
  EXPECT_EQ(TextOf(view->data()), "fives");
  EXPECT_EQ(TextOf(view->metadata()), "m");
}

TEST_F(StoreClientTest, DeleteReportsEachId) {
  const auto client = Connect(), other = Connect();
  const auto sealed = Put(*client, "x");
  const auto unsealed = ObjectId::FromRandom();
  const auto writer = client->Create(unsealed, 10, {}, {});
  ASSERT_TRUE(writer);
  const ObjectId ids[] = {sealed, ObjectId::FromRandom(), unsealed};
  const auto codes = other->Delete(ids);
  ASSERT_TRUE(codes);
  EXPECT_EQ(*codes, (std::vector{ErrorCode::kOk, ErrorCode::kNotFound, ErrorCode::kWrongState}));
  EXPECT_FALSE(*client->Contains(sealed));
}

TEST_F(StoreClientTest, BlockedGetReturnsWhenTheObjectIsSealed) {
  const auto creator = Connect(), reader = Connect();
  for (int i = 0; i < 50; ++i) {
    const auto id = ObjectId::FromRandom();
    std::thread getter([&] {
      const auto view = reader->Get(id, Deadline::After(seconds(20)));
      ASSERT_TRUE(view) << view.error().message;
      EXPECT_EQ(TextOf(view->data()), "now");
    });
    ASSERT_TRUE(creator->CreateAndSeal(id, BytesOf("now"), {}, {}));
    getter.join();
  }
}

TEST_F(StoreClientTest, ManyThreadsBlockOnManyObjectsAndAllWake) {
  const auto creator = Connect(), reader = Connect();
  std::vector<ObjectId> ids(64);
  for (ObjectId& id : ids) id = ObjectId::FromRandom();
  std::atomic<int> got{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < ids.size(); ++i) {
        const auto view = reader->Get(ids[(i * 7 + static_cast<size_t>(t)) % ids.size()], Deadline::After(seconds(30)));
        if (view) ++got;
      }
    });
  }
  for (const ObjectId& id : ids) ASSERT_TRUE(creator->CreateAndSeal(id, BytesOf("x"), {}, {}));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(got, 8 * 64);
}

TEST_F(StoreClientTest, GetEndsAtItsDeadlineAndWhenItsReasonDies) {
  const auto client = Connect();
  const auto id = ObjectId::FromRandom();
  const auto start = std::chrono::steady_clock::now();
  const auto late = client->Get(id, Deadline::AfterMs(50));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kTimedOut);
  EXPECT_NE(late.error().message.find(id.hex()), std::string::npos);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(50));
  int asked = 0;
  const auto cancelled = client->Get(id, Deadline::After(seconds(20)), [&] { return ++asked < 3; });
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - start, seconds(15));
}

TEST_F(StoreClientTest, TenThousandObjectsAreHeldAtOnceAndReleased) {
  const auto client = Connect();
  constexpr int kObjects = 10'000;
  std::vector<ObjectId> ids;
  for (int i = 0; i < kObjects; ++i) ids.push_back(Put(*client, std::to_string(i)));
  std::vector<PinnedObject> views;
  for (const ObjectId& id : ids) {
    auto view = client->Get(id, Deadline::AfterMs(0));
    ASSERT_TRUE(view) << view.error().message;
    views.push_back(*std::move(view));
  }
  for (int i = 0; i < kObjects; ++i) ASSERT_EQ(TextOf(views[static_cast<size_t>(i)].data()), std::to_string(i));
  EXPECT_EQ(client->List()->size(), static_cast<size_t>(kObjects));
  views.clear();
  const auto evicted = client->Evict(64 * kMiB);
  ASSERT_TRUE(evicted);
  EXPECT_TRUE(client->List()->empty());
}

TEST_F(StoreClientTest, AGetKeepsAnObjectFromBeingTheNextVictim) {
  const auto client = Connect();
  const auto first = PutLarge(*client, 20 * kMiB), second = PutLarge(*client, 20 * kMiB);
  ASSERT_TRUE(client->Get(first, Deadline::AfterMs(0)));
  PutLarge(*client, 30 * kMiB);
  EXPECT_TRUE(*client->Contains(first));
  EXPECT_FALSE(*client->Contains(second));
}

TEST_F(StoreClientTest, PinnedObjectsAreNeverEvictedAndFullStoreSaysWhy) {
  const auto client = Connect();
  const auto id = PutLarge(*client, 40 * kMiB);
  const auto view = client->Get(id, Deadline::AfterMs(0));
  ASSERT_TRUE(view);
  const auto full = client->Create(ObjectId::FromRandom(), 40 * kMiB, {}, {});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::kFull);
  EXPECT_NE(full.error().message.find("StoreFull"), std::string::npos) << full.error().message;
  EXPECT_EQ(client->Create(ObjectId::FromRandom(), 100 * kMiB, {}, {}).error().code, ErrorCode::kTooLarge);
  EXPECT_TRUE(*client->Contains(id));
}

TEST_F(StoreClientTest, AClientHoldsMoreObjectsThanFitIntoSixteenBits) {
  const auto client = Connect();
  const auto id = Put(*client, "held often");
  std::vector<PinnedObject> held;
  for (int i = 0; i < 100'000; ++i) {
    auto view = client->TryGet(id);
    ASSERT_TRUE(view) << i << ": " << view.error().message;
    held.push_back(**std::move(view));
  }
  const auto other = Put(*client, "one more");
  EXPECT_TRUE(client->Get(other, Deadline::AfterMs(0)));
  ASSERT_TRUE(client->Delete({&id, 1}));
  EXPECT_EQ(TextOf(held.back().data()), "held often");
}

TEST_F(StoreClientTest, AnObjectDeletedAtItsLastReleaseIsThereUntilThen) {
  const auto client = Connect(), reader = Connect("reader");
  const auto id = Put(*client, "held"), free = Put(*client, "free");
  auto held = reader->Get(id, Deadline::AfterMs(0));
  ASSERT_TRUE(held);
  const auto codes = client->DeleteAtLastRelease(std::vector{id, free, ObjectId::FromRandom()});
  ASSERT_TRUE(codes) << codes.error().message;
  EXPECT_EQ(*codes, (std::vector{ErrorCode::kOk, ErrorCode::kOk, ErrorCode::kNotFound}));
  EXPECT_FALSE(*client->Contains(free));
  EXPECT_TRUE(*client->Contains(id));
  EXPECT_EQ(client->Create(id, 10, {}, {}).error().code, ErrorCode::kAlreadyExists);
  auto other = client->Get(id, Deadline::AfterMs(0));
  ASSERT_TRUE(other);
  EXPECT_EQ(TextOf(other->data()), "held");
  const auto list = client->List();
  ASSERT_TRUE(list);
  ASSERT_EQ(list->size(), 1u);
  EXPECT_TRUE(list->front().deleted);
  held->Release();
  EXPECT_TRUE(*reader->Contains(id)) << "another holds it";
  other->Release();
  EXPECT_TRUE(Eventually(seconds(30), [&] { return !*client->Contains(id); }));
  EXPECT_TRUE(client->Create(id, 10, {}, {}));
}

// The store finds out who holds a deleted object when somebody looks, and not before.
TEST_F(StoreClientTest, ADeletedObjectIsGoneForEverybodyWhoLooksThoughManyAreHeld) {
  const auto client = Connect(), reader = Connect("reader");
  const auto kept = Put(*client, "kept");
  std::vector<PinnedObject> held;
  for (int i = 0; i < 20'000; ++i) held.push_back(*client->Get(kept, Deadline::AfterMs(0)));
  ASSERT_TRUE(client->Evict(1));  // which reads the pins
  for (int round = 0; round < 50; ++round) {
    std::vector<ObjectId> ids;
    for (int i = 0; i < 4; ++i) ids.push_back(Put(*client, "short"));
    const auto remove = [&](int i) { ASSERT_TRUE(client->DeleteAtLastRelease({&ids[static_cast<size_t>(i)], 1})); };
    remove(0);
    ASSERT_FALSE(*reader->Contains(ids[0])) << round;
    remove(1);
    ASSERT_FALSE(reader->TryGet(ids[1])->has_value()) << round;
    remove(2);
    ASSERT_FALSE(reader->Describe(ids[2])->has_value()) << round;
    remove(3);
    ASSERT_EQ(reader->List()->size(), 1u) << round;
    const auto again = reader->CreateAndSeal(ids[3], BytesOf("anew"), {}, {});
    ASSERT_TRUE(again) << again.error().message;
    ASSERT_TRUE(reader->Delete({&ids[3], 1}));
  }
  EXPECT_TRUE(*client->Contains(kept));
}

// Maps the pin page of this process's only connection.
Mapping OwnPinPage() {
  for (const auto& file : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(file, gone).string().find("memfd:plasma-pins-") == std::string::npos) continue;
    auto page = Mapping::Map(std::stoi(file.path().filename()), PinPageBytes(), Mapping::Access::kReadWrite);
    if (page) return *std::move(page);
  }
  ADD_FAILURE() << "no pin page";
  return {};
}

TEST_F(StoreClientTest, AtTheMostHoldsACreateIsRefusedByNameAndTheSealOfAnEarlierOneIsNot) {
  const auto client = Connect();
  const auto there = Put(*client, "there");
  const auto early = ObjectId::FromRandom(), late = ObjectId::FromRandom();
  auto writer = client->Create(early, 100, {}, {});
  ASSERT_TRUE(writer);
  const Mapping mapping = OwnPinPage();
  auto* const page = mapping.As<PinPage>();
  for (auto& slot : page->slots) {
    uint32_t free = 0;
    slot.compare_exchange_strong(free, kReservedSlot);
  }
  page->slots_high_water.store(kPinSlots);
  const auto refused = client->Create(late, 100, {}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kLimit) << "the store is not full";
  EXPECT_NE(refused.error().message.find("holds 4194304 objects"), std::string::npos) << refused.error().message;
  EXPECT_FALSE(client->Describe(late)->has_value()) << "a refused create leaves nothing";
  EXPECT_EQ(client->TryGet(there).error().code, ErrorCode::kLimit);
  const auto view = std::move(*writer).SealAndView();
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_TRUE(*client->Contains(early));
  EXPECT_TRUE(client->CreateAndSeal(late, BytesOf("nobody holds it"), {}, {}));
}

TEST_F(StoreClientTest, CreateThatWaitsForRoomDoesNotHoldUpOtherThreads) {
  const auto client = Connect();
  const auto id = PutLarge(*client, 40 * kMiB);
  auto held = client->Get(id, Deadline::AfterMs(0));
  ASSERT_TRUE(held);
  std::atomic<bool> done{false};
  std::thread creator([&] {
    CreateOptions options;
    options.timeout_ms = 20'000;
    auto writer = client->Create(ObjectId::FromRandom(), 40 * kMiB, {}, options);
    EXPECT_TRUE(writer) << writer.error().message;
    done = true;
  });
  for (int i = 0; i < 20; ++i) Put(*client, "meanwhile");
  EXPECT_FALSE(done);
  held->Release();
  EXPECT_EQ(client->Delete({&id, 1})->front(), ErrorCode::kOk);
  creator.join();
  EXPECT_TRUE(done);
}

TEST_F(StoreClientTest, OwnedObjectsGoWithTheirOwner) {
  const auto client = Connect();
  auto owner = Connect("owner"), heir = Connect("heir");
  CreateOptions owned;
  owned.owned = true;
  const auto kept = ObjectId::FromRandom(), lost = ObjectId::FromRandom(), foreign = ObjectId::FromRandom();
  ASSERT_TRUE(owner->CreateAndSeal(kept, BytesOf("kept"), {}, owned));
  ASSERT_TRUE(owner->CreateAndSeal(lost, BytesOf("lost"), {}, owned));
  owned.owner = owner->client_number();
  ASSERT_TRUE(client->CreateAndSeal(foreign, BytesOf("foreign"), {}, owned));
  EXPECT_TRUE((*client->Describe(lost))->owned);
  ASSERT_TRUE(owner->SetOwner({&kept, 1}, heir->client_number()));
  owner.reset();
  EXPECT_TRUE(Eventually(seconds(30), [&] { return !*client->Contains(lost) && !*client->Contains(foreign); }));
  EXPECT_TRUE(*client->Contains(kept));
  heir.reset();
  EXPECT_TRUE(Eventually(seconds(30), [&] { return !*client->Contains(kept); }));
}

TEST_F(StoreClientTest, ViewOutlivesItsClientAndStillPins) {
  const auto other = Connect();
  PinnedObject view;
  {
    const auto client = Connect();
    view = *client->Get(Put(*client, "outlives"), Deadline::AfterMs(0));
  }
  const auto id = view.id();
  EXPECT_EQ(other->Delete({&id, 1})->front(), ErrorCode::kOk);
  for (int i = 0; i < 60; ++i) PutLarge(*other, 2 * kMiB);
  EXPECT_EQ(TextOf(view.data()), "outlives");
}

TEST_F(StoreClientTest, LargeObjectsMoveNoByteThroughTheSocket) {
  const auto client = Connect();
  const uint64_t before = client->bytes_sent() + client->bytes_received();
  const std::string data(8 * kMiB, 'x');
  const auto id = Put(*client, data);
  ASSERT_EQ(client->Get(id, Deadline::AfterMs(0))->data().size(), data.size());
  EXPECT_LT(client->bytes_sent() + client->bytes_received() - before, 4096u);
}

TEST_F(StoreClientTest, WatchTellsOfSealedObjectsOldAndNew) {
  const auto client = Connect();
  auto watch = StoreWatch::Connect(socket(), "watch", Deadline::After(seconds(30)), false);
  ASSERT_TRUE(watch) << watch.error().message;
  EXPECT_TRUE((*watch)->TryRead()->empty());
  const auto old = Put(*client, "old"), fresh = ObjectId::FromRandom();
  const ObjectId ids[] = {old, fresh};
  ASSERT_TRUE((*watch)->Watch(ids));
  std::vector<ObjectId> sealed;
  const auto read = [&](size_t count) {
    return Eventually(seconds(30), [&] {
      const auto more = (*watch)->TryRead();
      if (more) sealed.insert(sealed.end(), more->sealed.begin(), more->sealed.end());
      return sealed.size() >= count;
    });
  };
  ASSERT_TRUE(read(1));
  EXPECT_EQ(sealed, std::vector{old});
  ASSERT_TRUE(client->CreateAndSeal(fresh, BytesOf("new"), {}, {}));
  pollfd readable{(*watch)->fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&readable, 1, 30'000), 1);
  ASSERT_TRUE(read(2));
  EXPECT_EQ(sealed, (std::vector{old, fresh}));
}

TEST_F(StoreClientTest, AWatchInheritsWhatAClientThatNamedItOwned) {
  auto watch = StoreWatch::Connect(socket(), "heir", Deadline::After(seconds(30)), false);
  ASSERT_TRUE(watch) << watch.error().message;
  auto client = StoreClient::Connect(socket(), "test", Deadline::After(seconds(30)), false, (*watch)->client_number());
  ASSERT_TRUE(client) << client.error().message;
  const uint32_t number = (*client)->client_number();
  const auto owned = ObjectId::FromRandom();
  ASSERT_TRUE((*client)->CreateAndSeal(owned, BytesOf("left"), {}, {.owned = true}));
  EXPECT_TRUE((*watch)->TryRead()->empty());
  client->reset();
  pollfd readable{(*watch)->fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&readable, 1, 30'000), 1);
  const auto news = (*watch)->TryRead();
  ASSERT_TRUE(news) << news.error().message;
  EXPECT_FALSE(news->empty());
  ASSERT_EQ(news->inherited.size(), 1u);
  EXPECT_EQ(news->inherited[0].client, number);
  EXPECT_EQ(news->inherited[0].ids, std::vector{owned});
  EXPECT_TRUE(news->inherited[0].last);
  const auto other = Connect();
  EXPECT_TRUE(*other->Contains(owned));
  watch->reset();
  EXPECT_TRUE(Eventually(seconds(30), [&] { return !*other->Contains(owned); })) << "it goes with its heir";
}

TEST_F(StoreClientTest, ThreadsShareOneClient) {
  const auto client = Connect();
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const std::string text = std::to_string(t * 1000 + i);
        const auto id = ObjectId::FromRandom();
        if (!client->CreateAndSeal(id, BytesOf(text), {}, {})) continue;
        const auto view = client->Get(id, Deadline::AfterMs(0));
        if (view && TextOf(view->data()) == text && client->Delete({&id, 1})->front() == ErrorCode::kOk) ++good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 1200);
  EXPECT_TRUE(client->List()->empty());
}

}  // namespace
}  // namespace raylet::client
