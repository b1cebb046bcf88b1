// The objects that a raylet watches in its store: as many as its processes wait for, and none once they wait no more.
#include <fcntl.h>

#include <nlohmann/json.hpp>

#include "client/plasma/store_client.h"
#include "fbs/segment_layout.h"
#include "tests/raylet/node/node.h"

namespace raylet::test {
namespace {

#ifdef RAYLET_SANITIZED
constexpr size_t kObjects = 20'000;
#else
constexpr size_t kObjects = 200'000;
#endif
constexpr size_t kObjectsPerWant = 10'000;

// A raylet that may be part of a cluster, beside a real store.
class RayletWatches : public ::testing::Test {
 protected:
  RayletWatches() {
    std::ofstream(token_) << "a token of the cluster\n";
    std::filesystem::permissions(token_, std::filesystem::perms::owner_read);
    node_.emplace(std::vector<std::string>{"--num-cpus", "2", "--token-file", token_}, Node::Store::kReal);
    driver_.emplace(node_->Driver());
    store_ = *client::StoreClient::Connect(node_->folder.File("store"), "test", Deadline::After(kPatience), false);
    const UniqueFd index(::open(("/dev/shm/" + IndexSegmentName(store_->socket_path())).c_str(), O_RDONLY | O_CLOEXEC));
    index_ = *Mapping::Map(index.get(), sizeof(IndexHeader), Mapping::Access::kReadOnly);
    for (size_t i = 0; i < kObjects; ++i) objects_.push_back(NewObjectId(driver_->process(), next_));
  }

  void Want(bool no_longer) {
    for (size_t at = 0; at < objects_.size(); at += kObjectsPerWant) {
      wire::WantNoticeT notice;
      notice.no_longer = no_longer;
      for (size_t i = at; i < std::min(at + kObjectsPerWant, objects_.size()); ++i)
        notice.objects.push_back(ToWire(objects_[i]));
      ASSERT_TRUE(driver_->Send(wire::RayletMessage::WantObjects, notice));
    }
  }
  uint64_t Watched() const { return index_.As<IndexHeader>()->counters.watched_ids.load(); }
  testing::AssertionResult StopsWatching() {
    if (Eventually(kPatience, [&] { return Watched() == 0; })) return testing::AssertionSuccess();
    return testing::AssertionFailure() << Watched() << " are watched still";
  }

  RunFolder folder_;
  const std::string token_ = folder_.File("token");
  std::optional<Node> node_;
  std::optional<WireProcess> driver_;
  std::shared_ptr<client::StoreClient> store_;
  Mapping index_;
  std::vector<ObjectId> objects_;
  std::atomic<uint64_t> next_{1'000'000};  // above the driver's own
};

TEST_F(RayletWatches, ManyWantedObjectsAreWatchedWithinTheBoundUntilNobodyWantsThem) {
  Want(/*no_longer=*/false);
  const size_t bound = std::min(kObjects, kWatchedIdsPerClientMax);
  EXPECT_TRUE(Eventually(kPatience, [&] { return Watched() == bound; })) << Watched();
  EXPECT_FALSE(driver_->StatusJson().empty()) << "the raylet serves no more";
  Want(/*no_longer=*/true);
  EXPECT_TRUE(StopsWatching());
  EXPECT_TRUE(node_->daemon->Running());
}

TEST_F(RayletWatches, ASealEndsTheWatchAlsoOfAnObjectThatWaitedForRoom) {
  Want(/*no_longer=*/false);
  for (const size_t i : {size_t{0}, kObjects / 2, kObjects - 1})
    ASSERT_TRUE(store_->CreateAndSeal(objects_[i], {}, {}, {}));
  const auto wanted = [&] {
    return nlohmann::json::parse(driver_->StatusJson())["transfers"]["objects_wanted"].get<size_t>();
  };
  EXPECT_TRUE(Eventually(kPatience, [&] { return wanted() == kObjects - 3; })) << wanted();
  Want(/*no_longer=*/true);
  EXPECT_TRUE(StopsWatching());
}

TEST_F(RayletWatches, TheEndOfTheProcessThatWantsThemEndsTheWatches) {
  Want(/*no_longer=*/false);
  EXPECT_TRUE(Eventually(kPatience, [&] { return Watched() == std::min(kObjects, kWatchedIdsPerClientMax); }));
  driver_.reset();
  EXPECT_TRUE(StopsWatching());
}

TEST_F(RayletWatches, TasksThatEndBeforeTheirArgumentsComeEndTheWatches) {
  constexpr size_t kTasks = 10;
  for (size_t i = 0; i < kTasks; ++i) {
    TaskOptions task;
    task.wait_for.assign(objects_.begin() + static_cast<std::ptrdiff_t>(i * 100),
                         objects_.begin() + static_cast<std::ptrdiff_t>(i * 100 + 200));
    static_cast<void>(driver_->Submit(task));
  }
  EXPECT_TRUE(Eventually(kPatience, [&] { return Watched() == (kTasks + 1) * 100; })) << Watched();
  driver_.reset();
  EXPECT_TRUE(StopsWatching());
}

}  // namespace
}  // namespace raylet::test
