// Posts of a client's ring, carried out on the store.
#include "store/put_posts.h"

#include <sys/mman.h>

#include <random>

#include "tests/store/object_store_fixture.h"

namespace raylet::store {
namespace {

class PutPostsTest : public ObjectStoreTest {
 protected:
  void SetUp() override {
    store_->OnNoRoom([this] { return leases_.TakeBack(); });
    client_ = Connect();
    other_ = Connect();
    void* const memory = ::mmap(nullptr, PutPageBytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    memory_of_page_ = {static_cast<std::byte*>(memory), PutPageBytes()};
    InitPutPage(memory_of_page_, client_);
    ring_ = *RingProducer::Attach(PutRingOf(memory_of_page_));
    posts_.emplace(*PutPosts::Attach(*store_, leases_, client_, memory_of_page_));
    leases_.AddClient(client_, &posts_->page());
  }
  void TearDown() override {
    leases_.RemoveClient(client_);
    for (const uint32_t client : {client_, other_}) store_->RemoveClient(client);
    ASSERT_NO_FATAL_FAILURE(ExpectLedgerAddsUp());
    store_->Evict(kCapacity);
    EXPECT_EQ(arena_->physical_bytes(), 0u) << "a run belongs to nobody";
    ::munmap(memory_of_page_.data(), memory_of_page_.size());
  }
  template <class T>
  void Push(PutPostType type, const T& post) {
    ASSERT_TRUE(ring_.TryPush(static_cast<uint32_t>(type), std::as_bytes(std::span(&post, 1))));
  }
  // A run for so many bytes, written; nothing where none is granted.
  std::optional<uint32_t> TakeSlot(uint64_t bytes) {
    const uint32_t put_class = PutClassOf(bytes);
    uint32_t& next = next_[put_class];
    const uint64_t run = posts_->page().grants[put_class][next % kGrantsPerClass].exchange(0);
    if (run == 0) return std::nullopt;
    std::memset(arena_->data() + run - 1, 7, bytes);
    return put_class * kGrantsPerClass + next++ % kGrantsPerClass;
  }
  PutPost Put(uint64_t id, uint32_t bytes, uint32_t flags = kPutEvictFlag) {
    PutPost post{};
    std::memcpy(post.id, IdOf(id).data(), sizeof post.id);
    post.data_bytes = bytes;
    post.flags = flags;
    if (!posts_->page().grants[PutClassOf(bytes)][next_[PutClassOf(bytes)] % kGrantsPerClass])
      leases_.Want(client_, PutClassOf(bytes), 16);
    post.slot = TakeSlot(bytes).value_or(~uint32_t{0});
    EXPECT_LT(post.slot, kPutSlots);
    return post;
  }
  ErrorCode OutcomeOf(uint32_t post) {
    return static_cast<ErrorCode>(posts_->page().outcomes[post % kPostsMax].load());
  }
  ErrorCode CarryOutOne(PutPostType type, const PutPost& post) {
    Push(type, post);
    const auto carried = posts_->CarryOut(10, 0);
    EXPECT_TRUE(carried) << carried.error().message;
    EXPECT_EQ(*carried, 1u);
    return OutcomeOf(posts_->page().done - 1);
  }
  bool Makes(uint32_t type, std::span<const std::byte> bytes) {  // sense
    EXPECT_TRUE(ring_.TryPush(type, bytes));
    return posts_->CarryOut(1, 0).has_value();
  }

  WriteLeases leases_{*arena_, kCapacity / 4};
  uint32_t client_ = 0, other_ = 0;
  std::span<std::byte> memory_of_page_;
  RingProducer ring_;
  std::optional<PutPosts> posts_;
  std::map<uint32_t, uint32_t> next_;
};

TEST_F(PutPostsTest, PostedObjectIsSealedInItsRun) {
  EXPECT_EQ(CarryOutOne(PutPostType::kPut, Put(1, 1000)), ErrorCode::kOk);
  EXPECT_TRUE(store_->IsSealed(IdOf(1)));
  EXPECT_EQ(header_->counters.sealed_bytes, 1000u);
  EXPECT_EQ(posts_->page().done, 1u);
  ASSERT_NO_FATAL_FAILURE(ExpectLedgerAddsUp());
}

TEST_F(PutPostsTest, FailureIsTheOneOfTheVerbAndItsRunComesBack) {
  Make(other_, 1, 10);
  EXPECT_EQ(CarryOutOne(PutPostType::kPut, Put(1, 1000)), ErrorCode::kAlreadyExists);
  ASSERT_TRUE(Create(other_, 2, kCapacity - 10 - 500));
  EXPECT_EQ(CarryOutOne(PutPostType::kPut, Put(3, 500 + 11)), ErrorCode::kFull);
  EXPECT_TRUE(store_->IsSealed(IdOf(1))) << "nothing is evicted where that cannot help";
  EXPECT_EQ(CarryOutOne(PutPostType::kPut, Put(3, 501, 0)), ErrorCode::kFull);
  EXPECT_EQ(CarryOutOne(PutPostType::kPut, Put(3, 501)), ErrorCode::kOk);
  EXPECT_FALSE(store_->IsSealed(IdOf(1))) << "it makes room for the other";
  ASSERT_TRUE(store_->Abort(other_, IdOf(2)));
  ASSERT_TRUE(store_->SetOptions(client_, "small", 600));
  EXPECT_EQ(CarryOutOne(PutPostType::kPut, Put(4, 601)), ErrorCode::kTooLarge);
  EXPECT_EQ(CarryOutOne(PutPostType::kPut, Put(4, 600)), ErrorCode::kOk);
  EXPECT_EQ(CarryOutOne(PutPostType::kPut, Put(5, 600)), ErrorCode::kOk);
  EXPECT_FALSE(store_->IsSealed(IdOf(4))) << "the quota is of one object";
  PutPost owned = Put(6, 10, kPutOwnedFlag);
  owned.owner = 99;
  EXPECT_EQ(CarryOutOne(PutPostType::kPut, owned), ErrorCode::kNotFound);
  owned = Put(6, 10, kPutOwnedFlag);
  EXPECT_EQ(CarryOutOne(PutPostType::kPut, owned), ErrorCode::kOk);
  EXPECT_EQ(OwnedBytes(client_), 10u);
}

TEST_F(PutPostsTest, SealIsOfAnObjectThatTheClientCreated) {
  ASSERT_TRUE(Create(client_, 1, 100));
  ASSERT_TRUE(Create(other_, 2, 100));
  PutPost seal{};
  for (const auto& [id, code] : {std::pair{1, ErrorCode::kOk},
                                 {1, ErrorCode::kWrongState},
                                 {2, ErrorCode::kNotAllowed},
                                 {3, ErrorCode::kNotFound}}) {
    std::memcpy(seal.id, IdOf(static_cast<uint64_t>(id)).data(), sizeof seal.id);
    EXPECT_EQ(CarryOutOne(PutPostType::kSeal, seal), code);
  }
}

TEST_F(PutPostsTest, BatchIsAllOrNothing) {
  struct Batch {
    PutBatchHead head{.frames = 0, .count = 3, .flags = kPutEvictFlag};
    PutBatchObject objects[3] = {};
  };
  const auto batch_of = [&](std::array<uint64_t, 3> ids) {
    Batch batch;
    for (size_t i = 0; i < 3; ++i) {
      const PutPost post = Put(ids[i], 100);
      std::memcpy(batch.objects[i].id, post.id, sizeof post.id);
      batch.objects[i].slot = post.slot;
      batch.objects[i].data_bytes = post.data_bytes;
    }
    return batch;
  };
  Make(other_, 2, 10);
  Push(PutPostType::kBatch, batch_of({1, 2, 3}));
  Push(PutPostType::kBatch, batch_of({4, 4, 5}));
  Push(PutPostType::kBatch, batch_of({6, 7, 8}));
  EXPECT_EQ(*posts_->CarryOut(10, 0), 3u);
  EXPECT_EQ(OutcomeOf(0), ErrorCode::kAlreadyExists);
  EXPECT_EQ(OutcomeOf(1), ErrorCode::kAlreadyExists);
  EXPECT_EQ(OutcomeOf(2), ErrorCode::kOk);
  for (const uint64_t id : {1, 3, 4, 5}) EXPECT_FALSE(store_->IsSealed(IdOf(id)));
  for (const uint64_t id : {6, 7, 8}) EXPECT_TRUE(store_->IsSealed(IdOf(id)));
  ASSERT_NO_FATAL_FAILURE(ExpectLedgerAddsUp());
}

TEST_F(PutPostsTest, PostWaitsForTheMessagesBeforeIt) {
  PutPost post = Put(1, 10);
  post.frames = 2;
  Push(PutPostType::kPut, post);
  EXPECT_EQ(*posts_->CarryOut(10, 1), 0u);
  EXPECT_FALSE(store_->IsSealed(IdOf(1)));
  EXPECT_EQ(*posts_->CarryOut(10, 2), 1u);
  EXPECT_TRUE(store_->IsSealed(IdOf(1)));
}

TEST_F(PutPostsTest, PostsOfAWrongSizeOrASlotThatIsNotLeasedAreProtocolErrors) {
  const std::byte zeros[4096] = {};
  const auto refused = [&](PutPostType type, size_t bytes) {
    // Each on a ring of its own, since the daemon reads no further after nonsense.
    InitRing(PutRingOf(memory_of_page_), kPutRingBytes);
    ring_ = *RingProducer::Attach(PutRingOf(memory_of_page_));
    posts_.emplace(*PutPosts::Attach(*store_, leases_, client_, memory_of_page_));
    return !Makes(static_cast<uint32_t>(type), std::span(zeros).first(bytes));
  };
  EXPECT_TRUE(refused(PutPostType{0}, 64));
  EXPECT_TRUE(refused(PutPostType{77}, 0));
  EXPECT_TRUE(refused(PutPostType::kPut, sizeof(PutPost) - 1));
  EXPECT_TRUE(refused(PutPostType::kPut, sizeof(PutPost) + 8));
  EXPECT_TRUE(refused(PutPostType::kPut, 0));
  EXPECT_TRUE(refused(PutPostType::kPut, sizeof(PutPost))) << "slot 0 is not leased";
  EXPECT_TRUE(refused(PutPostType::kSeal, 1));
  EXPECT_TRUE(refused(PutPostType::kBatch, 1));
  EXPECT_TRUE(refused(PutPostType::kBatch, sizeof(PutBatchHead) + 1));
  EXPECT_FALSE(refused(PutPostType::kBatch, sizeof(PutBatchHead))) << "a batch of nothing";
  EXPECT_TRUE(refused(PutPostType::kWant, 1));
  EXPECT_FALSE(refused(PutPostType::kWant, sizeof(PutWant)));
  const PutBatchHead many{.frames = 0, .count = ~uint32_t{0}, .flags = 0};
  EXPECT_FALSE(Makes(static_cast<uint32_t>(PutPostType::kBatch), std::as_bytes(std::span(&many, 1))));
  ASSERT_NO_FATAL_FAILURE(ExpectLedgerAddsUp());
}

TEST_F(PutPostsTest, LeasesMakeRoomWhereTheArenaHasNone) {
  leases_.Want(client_, PutClassOf(4096), 16);
  EXPECT_EQ(leases_.leased_bytes(), 16 * 4096u);
  std::vector<uint64_t> taken;
  constexpr uint64_t kBytes = 16 << 10;
  for (auto run = arena_->Allocate(kBytes); run; run = arena_->Allocate(kBytes)) taken.push_back(*run);
  const auto offset = Create(other_, 1, kBytes);
  ASSERT_TRUE(offset) << offset.error().message;
  EXPECT_EQ(leases_.leased_bytes(), 0u);
  ASSERT_TRUE(store_->Abort(other_, IdOf(1)));
  for (const uint64_t run : taken) arena_->Free(run);
}

// Puts, seals and deletes of two clients, one of which posts. The store's own ledger is the model.
TEST_F(PutPostsTest, LedgerAddsUpInEveryHistory) {
  std::mt19937 random{4};
  const auto choose = [&](uint32_t count) { return static_cast<uint32_t>(random() % count); };
  uint64_t published = 0;
  for (int step = 0; step < 20'000; ++step) {
    const uint64_t id = choose(400);
    const uint32_t bytes = choose(8) == 0 ? choose(kPutBytesMax) : 1 + choose(1200);
    switch (choose(5)) {
      case 0:
        if (Create(other_, id, choose(50'000))) {
          ASSERT_TRUE(store_->Seal(other_, IdOf(id)));
        }
        break;
      case 1: static_cast<void>(store_->Delete(IdOf(id))); break;
      default: {
        const bool was_there = store_->IsSealed(IdOf(id));
        leases_.Want(client_, PutClassOf(bytes), 4);
        const auto slot = TakeSlot(bytes);
        if (!slot) break;  // no room for a lease
        PutPost post{};
        std::memcpy(post.id, IdOf(id).data(), sizeof post.id);
        post.slot = *slot;
        post.data_bytes = bytes;
        post.flags = kPutEvictFlag;
        const ErrorCode code = CarryOutOne(PutPostType::kPut, post);
        ASSERT_EQ(code == ErrorCode::kAlreadyExists, was_there);
        if (code == ErrorCode::kOk) {
          ASSERT_TRUE(store_->IsSealed(IdOf(id)));
          ++published;
        }
      }
    }
    ASSERT_LE(leases_.leased_bytes(), kCapacity / 4);
  }
  EXPECT_GT(published, 5'000u);
  EXPECT_GT(header_->counters.evictions, 0u);
}

}  // namespace
}  // namespace raylet::store
