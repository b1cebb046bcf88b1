// Clients that are killed under load, and the server with them. Each client notes in memory that outlives it what the
// store has told it. RAYLET_CLIENT_KILLS and RAYLET_SERVER_KILLS say how often, RAYLET_CHAOS_SEED when.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <iostream>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/strings.h"
#include "client/plasma/mapped_index.h"
#include "client/plasma/store_client.h"
#include "fbs/segment_layout.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::client {
namespace {

using std::chrono::seconds;
using test::DaemonProcess;

uint64_t NumberFrom(const char* variable, uint64_t usual) {
  const char* const given = std::getenv(variable);
  return given != nullptr ? std::strtoull(given, nullptr, 10) : usual;
}

#ifdef RAYLET_SANITIZED  // each kill takes ten times as long
constexpr uint64_t kKillsUsually = 20;
#else
constexpr uint64_t kKillsUsually = 60;
#endif

Deadline InTime() { return Deadline::After(seconds(30)); }

// ---- what a client does -------------------------------------------------------------------------

// What a client knows of one of its objects.
enum class Known : uint8_t { kNothing, kPutting, kThere, kDeleting, kGone };
constexpr size_t kObjectsPerLife = 400;

// The notes of one client, in memory that it shares with the test. A life is that of one process.
struct Notes {
  std::atomic<uint64_t> life, steps;
  std::atomic<uint32_t> client;  // its number in the store; 0 until it is connected
  std::array<std::atomic<Known>, kObjectsPerLife> known;
};

ObjectId ObjectOf(uint64_t life, uint64_t number) {
  const uint64_t both[2] = {life, number};
  ObjectId id;
  std::memcpy(id.mutable_data(), both, sizeof both);
  return id;
}

// The same bytes of the same id in each process, as are their number.
std::vector<std::byte> BytesOfObject(const ObjectId& id) {
  const uint64_t hash = IndexHash(id);
  const uint64_t size = hash % 8 == 0 ? hash / 8 % 60'000 : hash / 8 % 3000;
  std::vector<std::byte> bytes(size, static_cast<std::byte>(hash >> 32));
  if (size >= sizeof hash) std::memcpy(bytes.data() + size - sizeof hash, &hash, sizeof hash);
  return bytes;
}

bool HasItsBytes(const PinnedObject& view, const ObjectId& id) {
  return std::ranges::equal(view.data(), BytesOfObject(id));
}

constexpr uint64_t kCommonLife = 0, kCommonObjects = 20;  // those that are there all the time

// One client, until it is killed. Returns only where the store does something wrong, and says what.
class Victim {
 public:
  Victim(Notes& notes, std::shared_ptr<StoreClient> client)
      : notes_(notes), client_(std::move(client)), life_(notes.life.load()), random_(life_) {}

  std::string Run() {
    notes_.client.store(client_->client_number());
    for (;;) {
      if (std::string wrong = Step(); !wrong.empty()) return wrong;
      notes_.steps.fetch_add(1);
    }
  }

 private:
  std::string Step() {
    const uint64_t what = random_() % 16;
    if (what < 6 && made_ < kObjectsPerLife) return PutNext();
    if (what < 8) return Get(ObjectOf(kCommonLife, random_() % kCommonObjects));
    if (what == 8 && !views_.empty()) views_.pop_front();
    if (what == 9) {
      const auto nothing = client_->Get(ObjectOf(life_, ~uint64_t{0}), Deadline::AfterMs(1));
      if (nothing || nothing.error().code != ErrorCode::kTimedOut) return "a get of an object that never was";
    }
    if (what == 10) return WriteAndAbort();
    if (made_ == 0) return {};
    const uint64_t number = random_() % made_;
    if (notes_.known[number] != Known::kThere) return {};
    return what < 13 ? Remove(number) : Get(ObjectOf(life_, number));
  }

  std::string PutNext() {
    const uint64_t number = made_++;
    const ObjectId id = ObjectOf(life_, number);
    const auto bytes = BytesOfObject(id);
    notes_.known[number].store(Known::kPutting);
    CreateOptions options;
    options.timeout_ms = number % 3 == 0 ? 20'000 : 0;  // by a message, or through the ring
    Result<void> put;
    if (number % 5 == 4) {
      put = client_->CreateAndSealAsync(id, bytes, {}, options);
      if (put) put = client_->AwaitPuts(InTime());
      // It may have failed with the server that died, and says so.
      if (!put && put.error().code == ErrorCode::kUnavailable) return {};
    } else {
      put = client_->CreateAndSeal(id, bytes, {}, options);
    }
    if (!put) return StrCat("a put: ", put.error().message);
    notes_.known[number].store(Known::kThere);
    return {};
  }

  std::string Get(const ObjectId& id) {
    auto view = client_->Get(id, InTime());
    if (!view) return StrCat("a get: ", view.error().message);
    if (!HasItsBytes(*view, id)) return StrCat("object ", id.hex(), " has other bytes");
    views_.push_back(*std::move(view));
    if (views_.size() > 10) views_.pop_front();
    return {};
  }

  std::string WriteAndAbort() {
    auto writer = client_->Create(ObjectOf(life_, kObjectsPerLife), 1 + random_() % 100'000, {}, {});
    if (!writer) return StrCat("a create: ", writer.error().message);
    std::memset(writer->data().data(), 'w', writer->data().size());
    static_cast<void>(std::move(*writer).Abort());  // the object may have gone with the server
    return {};
  }

  std::string Remove(uint64_t number) {
    const ObjectId id = ObjectOf(life_, number);
    notes_.known[number].store(Known::kDeleting);
    const auto deleted = client_->Delete({&id, 1});
    if (!deleted) return StrCat("a delete: ", deleted.error().message);
    notes_.known[number].store(Known::kGone);
    return {};
  }

  Notes& notes_;
  const std::shared_ptr<StoreClient> client_;
  const uint64_t life_;
  std::mt19937_64 random_;
  uint64_t made_ = 0;
  std::deque<PinnedObject> views_;
};

// ---- the test -----------------------------------------------------------------------------------

class KilledClientsTest : public testing::Test {
 protected:
  static constexpr size_t kVictims = 4;

  void SetUp() override {
    auto store = DaemonProcess::Start("plasma_store", {"-m", "128M", "-s", socket_, "--deaths-max", "1000000"});
    ASSERT_TRUE(store) << store.error().message;
    store_.emplace(*std::move(store));
    auto index = MappedIndex::OpenByName(socket_);
    ASSERT_TRUE(index) << index.error().message;
    index_.emplace(*std::move(index));
    void* const memory =
        ::mmap(nullptr, sizeof(Notes) * kVictims, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    notes_ = std::span(static_cast<Notes*>(memory), kVictims);
    other_ = Connect();
    ASSERT_TRUE(other_);
  }
  void TearDown() override {
    for (size_t victim = 0; victim < kVictims; ++victim) {
      if (pids_[victim] <= 0) continue;
      ::kill(pids_[victim], SIGKILL);
      ::waitpid(pids_[victim], nullptr, 0);
    }
    ::munmap(notes_.data(), notes_.size_bytes());
  }

  // A first connection is not made again when the server dies in the middle of it.
  std::shared_ptr<StoreClient> Connect() const {
    const Deadline deadline = InTime();
    for (;;) {
      auto client = StoreClient::Connect(socket_, "victim", deadline, true);
      if (client) return *std::move(client);
      if (deadline.Passed()) return nullptr;
    }
  }

  void StartVictim(size_t victim) {
    Notes& notes = notes_[victim];
    notes.life.store(++lives_);
    notes.steps.store(0);
    notes.client.store(0);
    for (auto& known : notes.known) known.store(Known::kNothing);
    pids_[victim] = ::fork();
    if (pids_[victim] != 0) return;
    auto client = Connect();
    const std::string wrong = client == nullptr ? "no connection" : Victim(notes, std::move(client)).Run();
    std::cerr << "life " << notes.life << ": " << wrong << std::endl;
    ::_exit(1);
  }

  // Until the victim has done so many steps more. It is wedged where it does not.
  void AwaitSteps(size_t victim, uint64_t steps) {
    const uint64_t before = notes_[victim].steps.load();
    ASSERT_TRUE(test::Eventually(seconds(60), [&] { return notes_[victim].steps.load() >= before + steps; }))
        << "victim " << victim << " has done " << notes_[victim].steps.load() - before << " steps of " << steps << "; "
        << store_->Output();
  }

  void KillVictim(size_t victim) {
    ::kill(pids_[victim], SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(pids_[victim], &status, 0), pids_[victim]);
    pids_[victim] = 0;
    ASSERT_TRUE(WIFSIGNALED(status)) << "it has ended by itself, and says above why";
  }

  void KillServer() {
    const pid_t server = store_->server_pid();
    if (server == store_->pid()) return;  // there is none yet
    ::kill(server, SIGKILL);
    ++server_kills_;
  }

  bool IsConnected(uint32_t client) const {
    const ClientRow* const rows = index_->header().clients.get();
    return std::any_of(rows, rows + kClientRowsMax, [&](const ClientRow& row) { return row.number == client; });
  }

  // What the dead client knew is so, and its objects go.
  void ExpectAsNoted(size_t victim) {
    const Notes& notes = notes_[victim];
    const uint32_t client = notes.client.load();
    // A client that died before it knew its number may come late. It has put nothing.
    if (client != 0) {
      ASSERT_TRUE(test::Eventually(seconds(60), [&] { return !IsConnected(client); })) << "client " << client;
    }
    std::vector<ObjectId> ids;
    for (uint64_t number = 0; number < kObjectsPerLife; ++number) {
      const Known known = notes.known[number].load();
      if (known == Known::kNothing) break;
      const ObjectId id = ObjectOf(notes.life, number);
      const auto view = other_->TryGet(id);
      ASSERT_TRUE(view) << view.error().message;
      ASSERT_TRUE(view->has_value() || known != Known::kThere) << "object " << number << " is lost";
      ASSERT_TRUE(!view->has_value() || known != Known::kGone) << "object " << number << " was deleted";
      if (view->has_value()) {
        ASSERT_TRUE(HasItsBytes(**view, id)) << "object " << number;
        ids.push_back(id);
      }
    }
    objects_ += ids.size();
    const auto deleted = other_->Delete(ids);
    ASSERT_TRUE(deleted) << deleted.error().message;
  }

  // What the process holds open, a line each.
  static std::string DescriptorsText(pid_t pid) {
    std::string text;
    for (const auto& entry : std::filesystem::directory_iterator(StrCat("/proc/", pid, "/fd"))) {
      std::error_code gone;
      text += StrCat("\n  ", std::filesystem::read_symlink(entry.path(), gone).string());
    }
    return text;
  }

  static size_t DescriptorsOf(pid_t pid) {
    std::error_code error;
    const std::filesystem::directory_iterator fds("/proc/" + std::to_string(pid) + "/fd", error);
    return static_cast<size_t>(std::distance(begin(fds), end(fds)));
  }

  test::RunFolder folder_;
  const std::string socket_ = folder_.File("store");
  std::optional<DaemonProcess> store_;
  std::optional<MappedIndex> index_;
  std::shared_ptr<StoreClient> other_;
  std::span<Notes> notes_;
  std::array<pid_t, kVictims> pids_{};
  uint64_t lives_ = kCommonLife, server_kills_ = 0, objects_ = 0;
};

TEST_F(KilledClientsTest, NothingIsLostLeakedOrWedgedWhenClientsAndTheServerAreKilled) {
  const uint64_t client_kills = NumberFrom("RAYLET_CLIENT_KILLS", kKillsUsually);
  const uint64_t server_kills = NumberFrom("RAYLET_SERVER_KILLS", client_kills / 10);
  const uint64_t seed = NumberFrom("RAYLET_CHAOS_SEED", 9);
  std::cout << "RAYLET_CHAOS_SEED=" << seed << std::endl;
  std::mt19937_64 random(seed);
  CreateOptions by_message;  // so that this client leases nothing
  by_message.timeout_ms = 20'000;
  for (uint64_t number = 0; number < kCommonObjects; ++number) {
    const ObjectId id = ObjectOf(kCommonLife, number);
    ASSERT_TRUE(other_->CreateAndSeal(id, BytesOfObject(id), {}, by_message));
  }
  const std::string own_page = PinPageName(other_->client_number());
  ASSERT_TRUE(test::Eventually(seconds(20), [&] {
    return DescriptorsText(store_->pid()).find(own_page) != std::string::npos;
  })) << "the keeper has not heard of this client";
  const size_t keeper_descriptors = DescriptorsOf(store_->pid());
  for (size_t victim = 0; victim < kVictims; ++victim) StartVictim(victim);
  uint64_t owed = 0;  // of server_kills, in parts of client_kills
  for (uint64_t kill = 0; kill < client_kills; ++kill) {
    SCOPED_TRACE(StrCat("kill ", kill));
    const size_t victim = random() % kVictims;
    const uint64_t steps = random() % 8 == 0 ? 0 : random() % 40;  // 0: it may still connect
    ASSERT_NO_FATAL_FAILURE(AwaitSteps(victim, steps));
    bool server_too = false;
    for (owed += server_kills; owed >= client_kills; owed -= client_kills) server_too = true;
    const bool server_first = random() % 2 == 0;
    if (server_too && server_first) KillServer();
    ASSERT_NO_FATAL_FAILURE(KillVictim(victim));
    if (server_too && !server_first) KillServer();
    ASSERT_NO_FATAL_FAILURE(ExpectAsNoted(victim));
    StartVictim(victim);
  }
  for (size_t victim = 0; victim < kVictims; ++victim) {
    ASSERT_NO_FATAL_FAILURE(AwaitSteps(victim, 10));
    ASSERT_NO_FATAL_FAILURE(KillVictim(victim));
    ASSERT_NO_FATAL_FAILURE(ExpectAsNoted(victim));
  }
  const IndexCounters& counters = index_->header().counters;
  EXPECT_EQ(counters.evictions, 0u) << "there was always room";
  for (uint64_t number = 0; number < kCommonObjects; ++number) {
    const ObjectId id = ObjectOf(kCommonLife, number);
    const auto view = other_->TryGet(id);
    ASSERT_TRUE(view && view->has_value()) << number;
    EXPECT_TRUE(HasItsBytes(**view, id)) << number;
  }
  for (uint64_t number = 0; number < kCommonObjects; ++number) {
    const ObjectId id = ObjectOf(kCommonLife, number);
    ASSERT_TRUE(other_->Delete({&id, 1}));
  }
  EXPECT_TRUE(test::Eventually(seconds(20),
                               [&] {
                                 return counters.clients == 1 && counters.sealed_count == 0 &&
                                        counters.unsealed_count == 0 && counters.dying_count == 0 &&
                                        counters.leased_bytes == 0 && counters.physical_bytes == 0;
                               }))
      << counters.clients << " clients, " << counters.sealed_count << " objects, " << counters.unsealed_count
      << " unsealed, " << counters.dying_count << " dying, " << counters.leased_bytes << " bytes leased, "
      << counters.physical_bytes << " taken";
  EXPECT_TRUE(test::Eventually(seconds(20), [&] { return DescriptorsOf(store_->pid()) <= keeper_descriptors; }))
      << "the keeper had " << keeper_descriptors << " descriptors, and has" << DescriptorsText(store_->pid());
  EXPECT_GE(server_kills_, server_kills / 2);
  EXPECT_GT(objects_, client_kills) << "there was load";
  RecordProperty("server_kills", std::to_string(server_kills_));
  RecordProperty("objects", std::to_string(objects_));
}

}  // namespace
}  // namespace raylet::client
