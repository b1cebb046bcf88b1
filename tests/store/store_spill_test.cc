// A real plasma_store that spills to a real folder.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "client/plasma/store_client.h"
#include "fbs/segment_layout.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::store {
namespace {

namespace fs = std::filesystem;
using client::StoreClient;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr int64_t kPatienceMs = 60'000;
constexpr std::chrono::seconds kPatience{60};

std::vector<std::byte> BytesOf(uint64_t number, uint64_t size) {
  std::vector<std::byte> bytes(size);
  uint64_t state = number * 0x9e3779b97f4a7c15ULL + 1;
  for (uint64_t at = 0; at + 8 <= size; at += 8) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    std::memcpy(bytes.data() + at, &state, 8);
  }
  return bytes;
}

class StoreSpillTest : public testing::Test {
 protected:
  void Start(std::vector<std::string> more = {}) {
    std::vector<std::string> flags = {"-m", "16M", "-s", socket_, "--spill-dir", dir_};
    flags.insert(flags.end(), more.begin(), more.end());
    auto daemon = test::DaemonProcess::Start("plasma_store", flags);
    ASSERT_TRUE(daemon) << daemon.error().message;
    daemon_.emplace(*std::move(daemon));
  }
  std::shared_ptr<StoreClient> Connect() {
    auto client = StoreClient::Connect(socket_, "test", Deadline::AfterMs(20'000), false);
    EXPECT_TRUE(client) << client.error().message;
    return client.value_or(nullptr);
  }
  Result<void> Put(StoreClient& client, uint64_t number, uint64_t size, int64_t timeout_ms = kPatienceMs) {
    const ObjectId id = ObjectId::FromRandom();
    const auto put = client.CreateAndSeal(id, BytesOf(number, size), {}, {.owned = owned_, .timeout_ms = timeout_ms});
    if (put) objects_[number] = {id, size};
    return put;
  }
  void Fill(StoreClient& client, uint64_t first, uint64_t count, uint64_t size) {
    for (uint64_t number = first; number < first + count; ++number) {
      const auto put = Put(client, number, size);
      ASSERT_TRUE(put) << "object " << number << ": " << put.error().message;
    }
  }
  void ExpectAllAreThere(StoreClient& client) {
    for (const auto& [number, object] : objects_) {
      EXPECT_TRUE(client.Contains(object.id).value_or(false)) << "object " << number;
      const auto view = client.Get(object.id, Deadline::AfterMs(kPatienceMs));
      ASSERT_TRUE(view) << "object " << number << ": " << view.error().message;
      const auto expected = BytesOf(number, object.size);
      ASSERT_EQ(view->data().size(), expected.size());
      ASSERT_EQ(std::memcmp(view->data().data(), expected.data(), expected.size()), 0) << "object " << number;
    }
  }
  // The files of spilled objects.
  std::vector<fs::path> Files() const {
    std::vector<fs::path> files;
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(dir_, error))
      if (entry.is_regular_file(error)) files.push_back(entry.path());
    return files;
  }
  std::optional<uint64_t> FirstSpilled(StoreClient& client) const {
    for (const auto& [number, object] : objects_) {
      const auto info = client.Describe(object.id);
      if (info && info->has_value() && (*info)->spilled) return number;
    }
    return std::nullopt;
  }
  void DeleteAll(StoreClient& client) {
    std::vector<ObjectId> ids;
    for (const auto& [number, object] : objects_) ids.push_back(object.id);
    ASSERT_TRUE(client.Delete(ids));
    objects_.clear();
  }

  struct Object {
    ObjectId id;
    uint64_t size = 0;
  };
  test::RunFolder folder_;
  const std::string socket_ = folder_.File("store"), dir_ = folder_.File("spill");
  std::optional<test::DaemonProcess> daemon_;
  std::map<uint64_t, Object> objects_;
  bool owned_ = true;
};

TEST_F(StoreSpillTest, ThreeTimesTheCapacityComesBackBitForBit) {
  Start();
  const auto client = Connect();
  ASSERT_NO_FATAL_FAILURE(Fill(*client, 1, 44, kMiB));
  ASSERT_NO_FATAL_FAILURE(Fill(*client, 100, 300, 10'000));
  ASSERT_NO_FATAL_FAILURE(Fill(*client, 1000, 1, 9 * kMiB));
  EXPECT_FALSE(Files().empty());
  ExpectAllAreThere(*client);
  const auto listed = client->List();
  ASSERT_TRUE(listed);
  EXPECT_EQ(listed->size(), objects_.size());
  for (const auto& info : *listed) EXPECT_TRUE(info.sealed);
  ASSERT_NO_FATAL_FAILURE(DeleteAll(*client));
  EXPECT_TRUE(test::Eventually(kPatience, [&] { return Files().empty(); })) << "deletes remove files";
}

TEST_F(StoreSpillTest, SeveralReadersAtOnceGetEverything) {
  Start();
  const auto writer = Connect();
  ASSERT_NO_FATAL_FAILURE(Fill(*writer, 1, 40, kMiB));
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i)
    readers.emplace_back([this, i] {
      const auto client = Connect();
      std::vector<ObjectId> ids;
      for (const auto& [number, object] : objects_)
        if (number % 3 == static_cast<uint64_t>(i) || number % 5 == 0) ids.push_back(object.id);
      for (size_t first = 0; first < ids.size(); first += 4) {
        const std::span some = std::span(ids).subspan(first, std::min<size_t>(4, ids.size() - first));
        std::vector<client::PinnedObject> views(some.size());
        const auto got = client->GetAll(some, views, Deadline::AfterMs(kPatienceMs));
        EXPECT_TRUE(got) << got.error().message;
      }
    });
  for (std::thread& reader : readers) reader.join();
  ExpectAllAreThere(*writer);
}

TEST_F(StoreSpillTest, PinnedObjectsStayAndTheRefusalSaysWhatSpillingDid) {
  Start();
  const auto client = Connect();
  ASSERT_NO_FATAL_FAILURE(Fill(*client, 1, 15, kMiB));
  std::vector<client::PinnedObject> views;
  for (const auto& [number, object] : objects_)
    views.push_back(*client->Get(object.id, Deadline::AfterMs(kPatienceMs)));
  const auto refused = Put(*client, 100, 3 * kMiB, /*timeout_ms=*/300);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFull);
  for (const char* part : {"needs 3145728 bytes", "free ", "largest run ", "pinned 15728640", "on disk: 0, in 0 files"})
    EXPECT_NE(refused.error().message.find(part), std::string::npos) << part << ": " << refused.error().message;
  views.clear();
  ASSERT_TRUE(Put(*client, 100, 3 * kMiB));
  ExpectAllAreThere(*client);
}

// The disk of a busy machine may take longer than the create waits for it.
TEST_F(StoreSpillTest, CreateWithoutPatienceWaitsWhileTheDiskMakesRoom) {
  Start();
  const auto client = Connect();
  ASSERT_NO_FATAL_FAILURE(Fill(*client, 1, 16, kMiB - 4096));
  uint64_t refused = 0;
  for (uint64_t number = 100; number < 130; ++number)
    for (auto put = Put(*client, number, kMiB, /*timeout_ms=*/0); !put; put = Put(*client, number, kMiB, 0)) {
      ASSERT_EQ(put.error().code, ErrorCode::kFull) << put.error().message;
      ASSERT_LT(++refused, 1000u);
    }
  EXPECT_LT(refused, 30u) << "before, each of them was";
  ExpectAllAreThere(*client);
}

TEST_F(StoreSpillTest, CreateThatMayNotEvictDoesNotWaitForTheDisk) {
  Start();
  const auto client = Connect();
  ASSERT_NO_FATAL_FAILURE(Fill(*client, 1, 16, kMiB - 4096));
  const auto put = client->CreateAndSeal(ObjectId::FromRandom(), BytesOf(100, kMiB), {}, {.evict_if_full = false});
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, ErrorCode::kFull);
  EXPECT_TRUE(Files().empty());
}

TEST_F(StoreSpillTest, BoundOfTheFilesRefusesAndTheStoreGoesOn) {
  Start({"--spill-max", "4M"});
  const auto client = Connect();
  uint64_t number = 0;
  Result<void> refused;
  while (refused && number < 30) refused = Put(*client, ++number, kMiB, /*timeout_ms=*/2000);
  ASSERT_FALSE(refused) << "all fit";
  EXPECT_EQ(refused.error().code, ErrorCode::kFull);
  EXPECT_NE(refused.error().message.find("--spill-max is 4194304"), std::string::npos) << refused.error().message;
  EXPECT_GE(objects_.size(), 17u);
  ExpectAllAreThere(*client);
  const uint64_t first = objects_.begin()->first;
  ASSERT_TRUE(client->Delete({&objects_.at(first).id, 1}));
  objects_.erase(first);
  ASSERT_TRUE(Put(*client, 100, kMiB));
}

// A file system of 6 MiB, in a mount namespace of this program's own.
TEST_F(StoreSpillTest, FullDiskRefusesAndTheStoreGoesOn) {
  fs::create_directories(dir_);
  ASSERT_EQ(::unshare(::geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER), 0) << std::strerror(errno);
  ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0) << std::strerror(errno);
  ASSERT_EQ(::mount("spill", dir_.c_str(), "tmpfs", 0, "size=6m"), 0) << std::strerror(errno);
  struct Unmount {
    ~Unmount() { ::umount2(path.c_str(), MNT_DETACH); }
    const std::string path;
  } const unmount{dir_};
  Start();
  const auto client = Connect();
  uint64_t number = 0;
  Result<void> refused;
  while (refused && number < 40) refused = Put(*client, ++number, kMiB, /*timeout_ms=*/2000);
  ASSERT_FALSE(refused) << "all fit";
  EXPECT_EQ(refused.error().code, ErrorCode::kFull);
  EXPECT_NE(refused.error().message.find("No space left on device"), std::string::npos) << refused.error().message;
  EXPECT_GT(objects_.size(), 16u) << "some are on disk";
  ExpectAllAreThere(*client);
  // Room on the disk again.
  for (uint64_t gone = 0; gone < 4; ++gone) {
    const auto first = objects_.begin();
    ASSERT_TRUE(client->Delete({&first->second.id, 1}));
    objects_.erase(first);
  }
  ASSERT_TRUE(Put(*client, 100, kMiB));
  ExpectAllAreThere(*client);
  daemon_.reset();
}

TEST_F(StoreSpillTest, FolderThatGoesAwayRefusesAndTheStoreGoesOn) {
  Start();
  const auto client = Connect();
  ASSERT_NO_FATAL_FAILURE(Fill(*client, 1, 12, kMiB));
  fs::remove_all(dir_);
  Result<void> refused;
  for (uint64_t number = 20; refused && number < 30; ++number) refused = Put(*client, number, kMiB, 2000);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("No such file or directory"), std::string::npos) << refused.error().message;
  ExpectAllAreThere(*client);
}

TEST_F(StoreSpillTest, RottenOrMissingFileIsALossAndNeverWrongBytes) {
  Start();
  const auto client = Connect();
  ASSERT_NO_FATAL_FAILURE(Fill(*client, 1, 30, kMiB));
  ASSERT_TRUE(test::Eventually(kPatience, [&] { return FirstSpilled(*client).has_value(); }));
  for (const fs::path& path : Files()) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(::pwrite(fd, "rotten", 6, 500'000), 6);
    ::close(fd);
  }
  const uint64_t number = *FirstSpilled(*client);
  const ObjectId id = objects_.at(number).id;
  for (int i = 0; i < 2; ++i) {
    const auto view = client->Get(id, Deadline::AfterMs(kPatienceMs));
    ASSERT_FALSE(view) << "of a rotten file";
    EXPECT_EQ(view.error().code, ErrorCode::kNotFound);
    EXPECT_NE(view.error().message.find("ObjectLost"), std::string::npos) << view.error().message;
  }
  EXPECT_FALSE(client->Contains(id).value_or(true));
  EXPECT_EQ(client->CreateAndSeal(id, {}, {}, {}).error().code, ErrorCode::kAlreadyExists);
  ASSERT_TRUE(client->Delete({&id, 1}));
  EXPECT_TRUE(client->CreateAndSeal(id, {}, {}, {})) << "it may be made anew";
  for (const fs::path& path : Files()) fs::remove(path);
  const auto another = FirstSpilled(*client);
  ASSERT_TRUE(another);
  EXPECT_FALSE(client->Get(objects_.at(*another).id, Deadline::AfterMs(kPatienceMs)));
}

TEST_F(StoreSpillTest, ObjectsOnDiskOutliveTheServer) {
  Start();
  const auto client = Connect();
  ASSERT_NO_FATAL_FAILURE(Fill(*client, 1, 40, kMiB));
  for (uint64_t kill = 0; kill < 3; ++kill) {
    const pid_t server = daemon_->server_pid();
    ::kill(server, SIGKILL);
    ASSERT_NO_FATAL_FAILURE(Fill(*client, 100 * (kill + 1), 4, kMiB));
    EXPECT_NE(daemon_->server_pid(), server);
    ExpectAllAreThere(*client);
  }
  ASSERT_NO_FATAL_FAILURE(DeleteAll(*client));
  EXPECT_TRUE(test::Eventually(kPatience, [&] { return Files().empty(); }));
}

TEST_F(StoreSpillTest, ServerThatIsKilledUnderLoadLosesNothing) {
  Start({"--deaths-max", "1000"});
  const auto client = Connect();
  std::atomic<bool> stop{false};
  std::thread killer([&] {
    pid_t last = daemon_->pid();
    for (int kill = 0; kill < 8 && !stop; ++kill) {
      const auto is_new = [&](pid_t pid) { return pid != last && pid != daemon_->pid(); };
      static_cast<void>(test::Eventually(kPatience, [&] { return stop || is_new(daemon_->server_pid()); }));
      const pid_t server = daemon_->server_pid();
      if (!is_new(server)) continue;
      ::kill(server, SIGKILL);
      last = server;
    }
  });
  for (uint64_t number = 1; number <= 60; ++number) {
    const auto put = Put(*client, number, number % 3 == 0 ? 100'000 : kMiB);
    EXPECT_TRUE(put) << put.error().message;
    const auto& [id, size] = objects_.at(1 + number / 2);
    const auto view = client->Get(id, Deadline::AfterMs(kPatienceMs));
    EXPECT_TRUE(view) << view.error().message;
  }
  stop = true;
  killer.join();
  ExpectAllAreThere(*client);
}

TEST_F(StoreSpillTest, OwnersEndRemovesItsFiles) {
  Start();
  {
    const auto client = Connect();
    ASSERT_NO_FATAL_FAILURE(Fill(*client, 1, 30, kMiB));
    EXPECT_FALSE(Files().empty());
  }
  EXPECT_TRUE(test::Eventually(kPatience, [&] { return Files().empty(); }));
}

TEST_F(StoreSpillTest, NextStoreRemovesWhatADeadOneHasLeft) {
  Start();
  const auto client = Connect();
  ASSERT_NO_FATAL_FAILURE(Fill(*client, 1, 30, kMiB));
  daemon_->Kill();
  EXPECT_FALSE(Files().empty());
  const std::string other = folder_.File("other");
  auto daemon = test::DaemonProcess::Start("plasma_store", {"-m", "16M", "-s", other, "--spill-dir", dir_});
  ASSERT_TRUE(daemon) << daemon.error().message;
  EXPECT_TRUE(Files().empty());
}

TEST_F(StoreSpillTest, TwoStoresShareAFolderAndStopsLeaveNothing) {
  Start();
  auto other =
      test::DaemonProcess::Start("plasma_store", {"-m", "16M", "-s", folder_.File("other"), "--spill-dir", dir_});
  ASSERT_TRUE(other) << other.error().message;
  {
    const auto client = Connect();
    ASSERT_NO_FATAL_FAILURE(Fill(*client, 1, 20, kMiB));
    ExpectAllAreThere(*client);
  }
  for (test::DaemonProcess* daemon : {&*daemon_, &*other}) {
    const auto end = daemon->Terminate(kPatience);
    ASSERT_TRUE(end) << end.error().message;
    EXPECT_EQ(end->exit_code, 0);
  }
  EXPECT_TRUE(fs::is_empty(dir_));
}

// Plasma's external store, with Plasma's creates, which name no patience.
class ExternalStoreTest : public StoreSpillTest {
 protected:
  ExternalStoreTest() { owned_ = false; }
  void StartExternal(std::vector<std::string> more = {}) {
    std::vector<std::string> flags = {"-m", "16M", "-s", socket_, "-e", "file://" + dir_};
    flags.insert(flags.end(), more.begin(), more.end());
    auto daemon = test::DaemonProcess::Start("plasma_store", flags);
    ASSERT_TRUE(daemon) << daemon.error().message;
    daemon_.emplace(*std::move(daemon));
  }
  void FillAtOnce(StoreClient& client, uint64_t first, uint64_t count, uint64_t size) {
    for (uint64_t number = first; number < first + count; ++number) {
      const auto put = Put(client, number, size, /*timeout_ms=*/0);
      ASSERT_TRUE(put) << "object " << number << ": " << put.error().message;
    }
  }
};

TEST_F(ExternalStoreTest, ThreeTimesTheCapacityIsThereAndOutlivesItsCreatorAndTheServer) {
  StartExternal();
  {
    const auto client = Connect();
    ASSERT_NO_FATAL_FAILURE(FillAtOnce(*client, 1, 40, kMiB));
    ASSERT_NO_FATAL_FAILURE(FillAtOnce(*client, 100, 300, 10'000));
    ASSERT_NO_FATAL_FAILURE(FillAtOnce(*client, 1000, 1, 9 * kMiB));
  }
  const auto client = Connect();
  ExpectAllAreThere(*client);
  ::kill(daemon_->server_pid(), SIGKILL);
  ExpectAllAreThere(*client);
  ASSERT_NO_FATAL_FAILURE(DeleteAll(*client));
  EXPECT_TRUE(test::Eventually(kPatience, [&] { return Files().empty(); })) << "deletes remove files";
}

TEST_F(ExternalStoreTest, BatchOfSmallObjectsWaitsForTheDisk) {
  StartExternal();
  const auto client = Connect();
  for (int batch = 0; batch < 60; ++batch) {
    std::vector<std::vector<std::byte>> bytes;
    std::vector<client::BatchObject> objects;
    for (uint64_t i = 0; i < 50; ++i) {
      const uint64_t number = static_cast<uint64_t>(batch) * 100 + i;
      bytes.push_back(BytesOf(number, 10'000));
      objects_[number] = {ObjectId::FromRandom(), 10'000};
      objects.push_back({objects_[number].id, bytes.back(), {}});
    }
    const auto put = client->CreateAndSealBatch(objects, {});
    ASSERT_TRUE(put) << "batch " << batch << ": " << put.error().message;
  }
  ExpectAllAreThere(*client);
}

TEST_F(ExternalStoreTest, SmallAsynchronousPutsWaitForTheDisk) {
  StartExternal();
  const auto client = Connect();
  constexpr uint64_t kPuts = 8000, kBytes = 4000;
  for (uint64_t number = 0; number < kPuts; ++number) {
    objects_[number] = {ObjectId::FromRandom(), kBytes};
    const auto put = client->CreateAndSealAsync(objects_[number].id, BytesOf(number, kBytes), {}, {});
    ASSERT_TRUE(put) << "object " << number << ": " << put.error().message;
  }
  const auto flushed = client->AwaitPuts(Deadline::AfterMs(kPatienceMs));
  ASSERT_TRUE(flushed) << flushed.error().message;
  for (const auto& [number, object] : objects_)
    ASSERT_TRUE(client->Contains(object.id).value_or(false)) << "object " << number;
  std::erase_if(objects_, [](const auto& object) { return object.first % 50 != 0; });
  ExpectAllAreThere(*client);
}

// Deletes of what was put just before, in a store that is full.
TEST_F(ExternalStoreTest, MessagesWaitBehindPutsThatWait) {
  StartExternal();
  const auto client = Connect();
  ASSERT_NO_FATAL_FAILURE(FillAtOnce(*client, 1, 20, kMiB));
  std::vector<ObjectId> ids;
  for (uint64_t round = 0; round < 40; ++round) {
    for (uint64_t i = 0; i < 100; ++i) {
      ids.push_back(ObjectId::FromRandom());
      ASSERT_TRUE(client->CreateAndSealAsync(ids.back(), BytesOf(i, 4000), {}, {}));
    }
    ASSERT_TRUE(client->Delete({&ids.back(), 1}));
  }
  const auto flushed = client->AwaitPuts(Deadline::AfterMs(kPatienceMs));
  ASSERT_TRUE(flushed) << flushed.error().message;
  for (size_t i = 0; i < ids.size(); ++i)
    ASSERT_EQ(client->Contains(ids[i]).value_or(false), i % 100 != 99) << "object " << i;
}

TEST_F(ExternalStoreTest, EvictWritesAndSaysHowMuch) {
  StartExternal();
  const auto client = Connect();
  ASSERT_NO_FATAL_FAILURE(FillAtOnce(*client, 1, 8, kMiB));
  const auto held = client->Get(objects_.at(1).id, Deadline::AfterMs(kPatienceMs));
  ASSERT_TRUE(held);
  const auto evicted = client->Evict(3 * kMiB);
  ASSERT_TRUE(evicted) << evicted.error().message;
  EXPECT_GE(*evicted, 3 * kMiB);
  EXPECT_FALSE(Files().empty());
  // Another one may have left since the answer.
  EXPECT_LE(client->Evict(100 * kMiB).value_or(UINT64_MAX), 7 * kMiB - *evicted);
  EXPECT_EQ(client->free_bytes(), 15 * kMiB) << "all but the one that is held";
  EXPECT_EQ(client->Evict(1).value_or(1), 0u);
  ExpectAllAreThere(*client);
}

TEST_F(ExternalStoreTest, FullDiskRefusesCreatesAndLosesNothing) {
  StartExternal({"--spill-max", "4M"});
  const auto client = Connect();
  uint64_t number = 0;
  Result<void> refused;
  while (refused && number < 40) refused = Put(*client, ++number, kMiB, /*timeout_ms=*/0);
  ASSERT_FALSE(refused) << "all fit";
  EXPECT_EQ(refused.error().code, ErrorCode::kFull);
  EXPECT_NE(refused.error().message.find("--spill-max is 4194304"), std::string::npos) << refused.error().message;
  EXPECT_GE(objects_.size(), 17u);
  ExpectAllAreThere(*client);
}

TEST_F(StoreSpillTest, FlagsThatMakeNoSenseAreRefused) {
  const auto output_of = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"-m", "16M", "-s", socket_});
    auto daemon = test::DaemonProcess::StartPlain("plasma_store", flags);
    EXPECT_TRUE(daemon);
    const auto end = daemon->Wait(Deadline::AfterMs(20'000));
    EXPECT_TRUE(end && end->exit_code != 0);
    return daemon->Output();
  };
  EXPECT_NE(output_of({"--spill-max", "1G"}).find("--spill-dir"), std::string::npos);
  EXPECT_NE(output_of({"--spill-dir", dir_, "--spill-max", "much"}).find("--spill-max"), std::string::npos);
  EXPECT_NE(output_of({"-e", "hashtable://x"}).find("say -e file:///FOLDER"), std::string::npos);
  std::ofstream(folder_.File("file")) << "a file";
  EXPECT_NE(output_of({"-e", "file://" + folder_.File("file")}).find("-e: cannot make the folder"), std::string::npos);
  EXPECT_NE(output_of({"--spill-dir", folder_.File("file")}).find("--spill-dir"), std::string::npos);
}

}  // namespace
}  // namespace raylet::store
