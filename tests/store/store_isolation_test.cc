// A real plasma_store with --isolation=strict, and clients of other users that try to change what is sealed.
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/shm_segment.h"
#include "client/plasma/store_client.h"
#include "client/plasma/store_hello.h"
#include "fbs/segment_layout.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_before_others.h"
#include "tests/harness/run_folder.h"

namespace raylet::store {
namespace {

using client::StoreClient;

constexpr uid_t kOther = 65534;
constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr int64_t kPatienceMs = 60'000;

// A client's answer from the Hello: what another user's process has of a store.
struct Access {
  FrameConnection connection;
  client::StoreWelcome welcome;
};

class StoreIsolationTest : public testing::Test {
 protected:
  void Start(std::vector<std::string> more = {}, const std::string& memory = "32M") {
    std::vector<std::string> flags = {"-m", memory, "-s", socket_, "--isolation=strict"};
    flags.insert(flags.end(), more.begin(), more.end());
    auto daemon = test::DaemonProcess::Start("plasma_store", flags);
    ASSERT_TRUE(daemon) << daemon.error().message;
    daemon_.emplace(*std::move(daemon));
    ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);
  }
  std::shared_ptr<StoreClient> Connect() {
    auto client = StoreClient::Connect(socket_, "test", Deadline::AfterMs(20'000), false);
    EXPECT_TRUE(client) << client.error().message;
    return client.value_or(nullptr);
  }
  static std::vector<std::byte> BytesOf(size_t size, int seed) {
    std::vector<std::byte> bytes(size);
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 31 + static_cast<size_t>(seed));
    return bytes;
  }
  static void ExpectHas(StoreClient& client, const ObjectId& id, const std::vector<std::byte>& bytes) {
    const auto view = client.Get(id, Deadline::AfterMs(kPatienceMs));
    ASSERT_TRUE(view) << view.error().message;
    ASSERT_EQ(view->data().size(), bytes.size());
    EXPECT_EQ(std::memcmp(view->data().data(), bytes.data(), bytes.size()), 0);
  }
  // Runs in a process of another user. The text that it returns says what went wrong.
  static std::string AsAnotherUser(const std::function<std::string()>& work) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return "no pipe";
    const pid_t child = ::fork();
    if (child == 0) {
      std::string said;
      if (::setgroups(0, nullptr) != 0 || ::setresgid(kOther, kOther, kOther) != 0 ||
          ::setresuid(kOther, kOther, kOther) != 0)
        said = "this test needs root, which may become another user";
      else if (::prctl(PR_SET_DUMPABLE, 1) != 0 || !OpensItsOwnMemory())  // or every way through /proc were shut
        said = "the control fails";
      else
        said = work();
      said.resize(std::min<size_t>(said.size(), 4000));
      if (::write(ends[1], said.data(), said.size()) != static_cast<ssize_t>(said.size())) ::_exit(2);
      ::_exit(0);
    }
    ::close(ends[1]);
    std::string said(4000, 0);
    size_t size = 0;
    for (ssize_t got = 1; got > 0; size += got > 0 ? static_cast<size_t>(got) : 0)
      got = ::read(ends[0], said.data() + size, said.size() - size);
    ::close(ends[0]);
    said.resize(size);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) said += " (it died: status " + std::to_string(status) + ")";
    return said;
  }

  static bool OpensItsOwnMemory() {
    const UniqueFd own(::memfd_create("own", MFD_CLOEXEC));
    const UniqueFd again(::open(("/proc/self/fd/" + std::to_string(own.get())).c_str(), O_RDWR | O_CLOEXEC));
    return static_cast<bool>(again);
  }

  test::RunFolder folder_;
  const std::string socket_ = folder_.File("store");
  std::optional<test::DaemonProcess> daemon_;
};

std::string Concat(std::string list, const std::string& more) { return list.empty() ? more : list + "; " + more; }

// Every way to write that memory behind a descriptor that was given for reading. Returns those that worked.
std::string WaysIn(const std::string& what, int fd, const std::byte* mapped) {
  std::string open;
  const auto expect_refused = [&](const char* way, bool refused) {
    if (!refused) open = Concat(open, what + ": " + way);
  };
  const std::byte evil{0x66};
  expect_refused("mmap for writing", ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
  void* const page = const_cast<std::byte*>(mapped) - reinterpret_cast<uintptr_t>(mapped) % 4096;
  expect_refused("mprotect", ::mprotect(page, 4096, PROT_READ | PROT_WRITE) != 0);
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  for (const int flags : {O_RDWR, O_WRONLY, O_RDWR | O_TRUNC}) {
    const int again = ::open(path.c_str(), flags | O_CLOEXEC);
    expect_refused("/proc/self/fd", again < 0);
    if (again >= 0) ::close(again);
  }
  expect_refused("pwrite", ::pwrite(fd, &evil, 1, 0) < 0);
  iovec piece{const_cast<std::byte*>(&evil), 1};
  expect_refused("pwritev", ::pwritev(fd, &piece, 1, 0) < 0);
  expect_refused("ftruncate", ::ftruncate(fd, 0) != 0);
  for (const int mode : {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE, FALLOC_FL_COLLAPSE_RANGE, 0})
    expect_refused("fallocate", ::fallocate(fd, mode, 0, 4096) != 0);
  expect_refused("a mode", ::fchmod(fd, 0666) != 0);
  expect_refused("another seal", ::fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) != 0);
  expect_refused("MADV_REMOVE", ::madvise(page, 4096, MADV_REMOVE) != 0);
  expect_refused("MADV_POPULATE_WRITE", ::madvise(page, 4096, MADV_POPULATE_WRITE) != 0);
  int pipes[2];
  if (::pipe(pipes) == 0) {
    expect_refused("a read into the mapping",
                   ::write(pipes[1], &evil, 1) == 1 && ::read(pipes[0], const_cast<std::byte*>(mapped), 1) < 0);
    ::close(pipes[0]);
    ::close(pipes[1]);
  }
  const iovec remote{const_cast<std::byte*>(mapped), 1};
  expect_refused("process_vm_writev on itself", ::process_vm_writev(::getpid(), &piece, 1, &remote, 1, 0) < 0);
  if (const int self = ::open("/proc/self/mem", O_RDWR | O_CLOEXEC); self >= 0) {
    expect_refused("/proc/self/mem",
                   ::pwrite(self, &evil, 1, static_cast<off_t>(reinterpret_cast<uintptr_t>(mapped))) < 0);
    ::close(self);
  }
  const int faults = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY));
  if (faults >= 0) {
    uffdio_api api{.api = UFFD_API, .features = 0, .ioctls = 0};
    uffdio_register range{};
    range.range = {reinterpret_cast<uintptr_t>(page), 4096};
    range.mode = UFFDIO_REGISTER_MODE_MISSING;
    expect_refused("userfaultfd",
                   ::ioctl(faults, UFFDIO_API, &api) != 0 || ::ioctl(faults, UFFDIO_REGISTER, &range) != 0);
    ::close(faults);
  }
  return open;
}

// Every way to write the memory of that process.
std::string WaysIntoProcess(pid_t pid, uintptr_t address) {
  std::string open;
  const auto expect_refused = [&](const char* way, bool refused) {
    if (!refused) open = Concat(open, "process " + std::to_string(pid) + ": " + way);
  };
  const std::string proc = "/proc/" + std::to_string(pid);
  expect_refused("ptrace", ::ptrace(PTRACE_ATTACH, pid, nullptr, nullptr) != 0);
  expect_refused("ptrace by seizing", ::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) != 0);
  expect_refused("/proc/PID/mem", ::open((proc + "/mem").c_str(), O_RDWR | O_CLOEXEC) < 0);
  const std::byte evil{0x66};
  const iovec piece{const_cast<std::byte*>(&evil), 1};
  const iovec remote{reinterpret_cast<void*>(address), 1};  // NOLINT(performance-no-int-to-ptr)
  expect_refused("process_vm_writev", ::process_vm_writev(pid, &piece, 1, &remote, 1, 0) < 0);
  for (int fd = 3; fd < 40; ++fd)
    expect_refused("/proc/PID/fd", ::open((proc + "/fd/" + std::to_string(fd)).c_str(), O_RDWR | O_CLOEXEC) < 0);
  const int handle = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  for (int fd = 3; handle >= 0 && fd < 40; ++fd)
    expect_refused("pidfd_getfd", ::syscall(SYS_pidfd_getfd, handle, fd, 0) < 0);
  expect_refused("a signal", ::kill(pid, SIGKILL) != 0);
  return open;
}

TEST_F(StoreIsolationTest, NoWayInForAnotherUser) {
  Start();
  const auto owner = Connect();
  const ObjectId large = ObjectId::FromRandom(), small = ObjectId::FromRandom();
  const auto large_bytes = BytesOf(kMiB, 1), small_bytes = BytesOf(500, 2);
  ASSERT_TRUE(owner->CreateAndSeal(large, large_bytes, {}, {}));
  ASSERT_TRUE(owner->CreateAndSeal(small, small_bytes, {}, {}));
  const pid_t keeper = daemon_->pid(), server = daemon_->server_pid();
  const std::string said = AsAnotherUser([&]() -> std::string {
    Access access;
    auto connection =
        client::ConnectToStore(socket_, {.name = "stranger"}, Deadline::AfterMs(kPatienceMs), false, access.welcome);
    if (!connection) return connection.error().message;
    access.connection = *std::move(connection);
    const auto arena =
        Mapping::Map(access.welcome.arena_read_only.get(), access.welcome.arena_bytes, Mapping::Access::kReadOnly);
    const auto size = FileSize(access.welcome.index.get());
    if (!arena || !size) return "no arena";
    const auto index = Mapping::Map(access.welcome.index.get(), *size, Mapping::Access::kReadOnly);
    if (!index) return "no index";
    std::string open = WaysIn("arena", access.welcome.arena_read_only.get(), arena->data());
    open = Concat(open, WaysIn("index", access.welcome.index.get(), index->data()));
    for (const pid_t pid : {keeper, server})
      open = Concat(open, WaysIntoProcess(pid, reinterpret_cast<uintptr_t>(arena->data())));
    if (::open(("/dev/shm/" + IndexSegmentName(socket_)).c_str(), O_RDWR | O_CLOEXEC) >= 0)
      open = Concat(open, "the index by its name");
    return open.find_first_not_of("; ") == std::string::npos ? "" : open;
  });
  EXPECT_EQ(said, "");
  ExpectHas(*owner, large, large_bytes);
  ExpectHas(*owner, small, small_bytes);
}

// What a client writes is an object's only until its seal, and nobody else's ever.
TEST_F(StoreIsolationTest, WriterKeepsNoHoldOnWhatItSealed) {
  Start();
  const auto reader = Connect();
  const ObjectId id = ObjectId::FromRandom(), victim = ObjectId::FromRandom();
  const auto bytes = BytesOf(3 * kMiB + 5, 3), victims = BytesOf(2 * kMiB, 4);
  ASSERT_TRUE(reader->CreateAndSeal(victim, victims, {}, {}));
  const std::string said = AsAnotherUser([&]() -> std::string {
    const auto client = StoreClient::Connect(socket_, "writer", Deadline::AfterMs(20'000), false);
    if (!client) return client.error().message;
    const std::byte metadata[] = {std::byte{1}, std::byte{2}};
    auto writer = (*client)->Create(id, bytes.size(), metadata, {});
    if (!writer) return writer.error().message;
    const std::span<std::byte> data = writer->data();
    std::memcpy(data.data(), bytes.data(), bytes.size());
    const auto memory = writer->memory();
    if (const auto sealed = std::move(*writer).Seal(); !sealed) return sealed.error().message;
    std::memset(data.data(), 0x66, data.size());  // may be written, and is nobody's
    // The places of all other objects, as this client sees them in its own memory.
    const auto view = (*client)->Get(victim, Deadline::AfterMs(kPatienceMs));
    if (!view) return view.error().message;
    const auto mine = (*client)->Get(id, Deadline::AfterMs(kPatienceMs));
    if (!mine) return mine.error().message;
    const std::ptrdiff_t between = view->data().data() - mine->data().data();
    std::memset(data.data() + between, 0x66, view->data().size());
    if (std::memcmp(mine->data().data(), bytes.data(), bytes.size()) != 0) return "its object has changed";
    if (mine->metadata().size() != 2 || mine->metadata()[1] != metadata[1]) return "its metadata has changed";
    if ((*client)->Abort(victim)) return "it aborts another's object";
    return "";
  });
  EXPECT_EQ(said, "");
  ExpectHas(*reader, id, bytes);
  ExpectHas(*reader, victim, victims);
}

TEST_F(StoreIsolationTest, PutsOfAllSizesAreThereAlsoAfterTheServersDeath) {
  Start();
  const auto client = Connect();
  std::vector<std::pair<ObjectId, std::vector<std::byte>>> objects;
  for (const size_t size : {0, 1, 63, 64, 1000, 4096, 5000, 70'000, 1 << 20, (2 << 20) + 1})
    for (int copy = 0; copy < 3; ++copy) {
      objects.emplace_back(ObjectId::FromRandom(), BytesOf(size, copy));
      const auto& [id, bytes] = objects.back();
      if (copy == 2) {
        auto writer = client->Create(id, size, {}, {});
        ASSERT_TRUE(writer) << writer.error().message;
        if (size > 0) std::memcpy(writer->data().data(), bytes.data(), size);
        ASSERT_TRUE(std::move(*writer).Seal());
      } else {
        ASSERT_TRUE(client->CreateAndSeal(id, bytes, {}, {}));
      }
    }
  std::vector<client::BatchObject> batch;
  for (int i = 0; i < 20; ++i) {
    objects.emplace_back(ObjectId::FromRandom(), BytesOf(300, i));
    batch.push_back({objects.back().first, {}, {}});
  }
  for (size_t i = 0; i < batch.size(); ++i) batch[i].data = objects[objects.size() - 20 + i].second;
  ASSERT_TRUE(client->CreateAndSealBatch(batch, {}));
  // Written before the death of the server and sealed after it.
  objects.emplace_back(ObjectId::FromRandom(), BytesOf(kMiB, 9));
  auto writer = client->Create(objects.back().first, kMiB, {}, {});
  ASSERT_TRUE(writer) << writer.error().message;
  std::memcpy(writer->data().data(), objects.back().second.data(), kMiB);
  ::kill(daemon_->server_pid(), SIGKILL);
  const auto sealed = std::move(*writer).Seal();
  ASSERT_TRUE(sealed) << sealed.error().message;
  for (const auto& [id, bytes] : objects) ASSERT_NO_FATAL_FAILURE(ExpectHas(*client, id, bytes));
}

TEST_F(StoreIsolationTest, MemoryOfWritersGoesBack) {
  Start();
  const auto client = Connect();
  const auto bytes = BytesOf(4 * kMiB, 5);
  const auto written_bytes = [] {
    uint64_t sum = 0;
    for (const auto& file : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code error;
      const std::string target = std::filesystem::read_symlink(file.path(), error);
      struct stat status {};
      if (target.find("plasma-pins") != std::string::npos && ::stat(file.path().c_str(), &status) == 0)
        sum = std::max(sum, static_cast<uint64_t>(status.st_blocks) * 512);
    }
    return sum;
  };
  auto writer = client->Create(ObjectId::FromRandom(), bytes.size(), {}, {});
  ASSERT_TRUE(writer) << writer.error().message;
  std::memcpy(writer->data().data(), bytes.data(), bytes.size());
  EXPECT_GE(written_bytes(), bytes.size());
  ASSERT_TRUE(std::move(*writer).Seal());
  EXPECT_LT(written_bytes(), kMiB);
  for (int i = 0; i < 1000; ++i) {
    auto small = client->Create(ObjectId::FromRandom(), 6000, {}, {});
    ASSERT_TRUE(small) << small.error().message;
    std::memcpy(small->data().data(), bytes.data(), 6000);
    ASSERT_TRUE(std::move(*small).Seal());
  }
  EXPECT_LT(written_bytes(), 2 * kMiB) << "of 6 MB";
}

// Other programs would leave it little time in which to put beside the copy.
TEST_F(StoreIsolationTest, CopyOfALargeObjectHoldsNobodyUp) {
  test::RunBeforeOthers();
  constexpr uint64_t kLarge = 96 * kMiB;
  Start({}, "128M");
  const auto client = Connect(), other = Connect();
  const ObjectId id = ObjectId::FromRandom();
  auto writer = client->Create(id, kLarge, {}, {});
  ASSERT_TRUE(writer) << writer.error().message;
  writer->data().front() = std::byte{1};
  writer->data().back() = std::byte{2};
  std::atomic<bool> seals{false};
  std::thread sealer([&] {
    seals = true;
    const auto sealed = std::move(*writer).Seal();
    EXPECT_TRUE(sealed) << sealed.error().message;
  });
  while (!seals) std::this_thread::yield();
  int puts = 0;
  while (!other->Contains(id).value_or(true)) {
    const auto put = other->CreateAndSeal(ObjectId::FromRandom(), BytesOf(100, 1), {}, {});
    EXPECT_TRUE(put) << put.error().message;
    ++puts;
  }
  sealer.join();
  EXPECT_GT(puts, 5) << "messages of the other client, while the store copied";
  const auto view = other->Get(id, Deadline::AfterMs(kPatienceMs));
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->data().front(), std::byte{1});
  EXPECT_EQ(view->data().back(), std::byte{2});
}

// In a message after the seal, which the store handles after it.
TEST_F(StoreIsolationTest, TheNextMessagesOfAClientWaitForItsSeal) {
  Start();
  const auto client = Connect(), other = Connect();
  for (int round = 0; round < 5; ++round) {
    const ObjectId id = ObjectId::FromRandom();
    auto writer = client->Create(id, 10 * kMiB, {}, {});
    ASSERT_TRUE(writer) << writer.error().message;
    std::thread deleter([&] {
      while (!other->Contains(id).value_or(true)) std::this_thread::yield();
      EXPECT_TRUE(other->Delete({&id, 1}));
    });
    ASSERT_TRUE(std::move(*writer).Seal());
    ASSERT_TRUE(client->CreateAndSeal(ObjectId::FromRandom(), BytesOf(100, 1), {}, {}));
    deleter.join();
    EXPECT_FALSE(client->Contains(id).value_or(true));
  }
}

TEST_F(StoreIsolationTest, WithoutItAnotherUserIsRefused) {
  auto daemon = test::DaemonProcess::Start("plasma_store", {"-m", "16M", "-s", socket_});
  ASSERT_TRUE(daemon) << daemon.error().message;
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(socket_.c_str(), 0666), 0);
  const std::string said = AsAnotherUser([&]() -> std::string {
    const auto client = StoreClient::Connect(socket_, "stranger", Deadline::AfterMs(20'000), false);
    return client ? "it is let in" : client.error().message;
  });
  EXPECT_NE(said.find("and user 65534 came"), std::string::npos) << said;
}

}  // namespace
}  // namespace raylet::store
