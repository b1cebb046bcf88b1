// Random operations of several clients on a real store, beside a model of it. RAYLET_MODEL_STEPS says how many, and
// RAYLET_MODEL_SEED which.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "client/plasma/mapped_index.h"
#include "client/plasma/store_client.h"
#include "tests/client/plasma/store_model.h"
#include "tests/harness/daemon_process.h"
#include "tests/harness/run_folder.h"

namespace raylet::client {
namespace {

using std::chrono::seconds;
using test::StoreModel;

constexpr uint64_t kModelCapacity = 3 << 18;
constexpr uint64_t kIds = 100;
constexpr size_t kClients = 4;
#ifdef RAYLET_SANITIZED  // each step takes ten times as long
constexpr uint64_t kStepsUsually = 2000;
#else
constexpr uint64_t kStepsUsually = 12'000;
#endif

uint64_t FromVariable(const char* variable, uint64_t usual) {
  const char* const given = std::getenv(variable);
  return given != nullptr ? std::strtoull(given, nullptr, 10) : usual;
}

Deadline Later() { return Deadline::After(seconds(30)); }

ObjectId IdOfNumber(uint64_t number) {
  ObjectId id;
  std::memcpy(id.mutable_data(), &number, sizeof number);
  return id;
}

uint64_t NumberOfId(const ObjectId& id) {
  uint64_t number = 0;
  std::memcpy(&number, id.data(), sizeof number);
  return number;
}

std::vector<std::byte> BytesOfVersion(uint64_t version, uint64_t size) {
  std::vector<std::byte> bytes(size, static_cast<std::byte>(version * 37 + 5));
  if (size >= sizeof version) std::memcpy(bytes.data() + size - sizeof version, &version, sizeof version);
  return bytes;
}

class RandomOperationsTest : public testing::Test {
 protected:
  void Start(bool has_disk) {
    has_disk_ = has_disk;
    std::vector<std::string> flags{"-m", StrCat(kModelCapacity), "-s", socket_};
    if (has_disk) flags.insert(flags.end(), {"--spill-dir", folder_.File("spilled")});
    auto store = test::DaemonProcess::Start("plasma_store", flags);
    ASSERT_TRUE(store) << store.error().message;
    store_.emplace(*std::move(store));
    auto index = MappedIndex::OpenByName(socket_);
    ASSERT_TRUE(index);
    index_.emplace(*std::move(index));
    for (size_t client = 0; client < kClients; ++client) ASSERT_NO_FATAL_FAILURE(Connect(client));
  }

  void Run(uint64_t steps, uint64_t seed) {
    random_.seed(seed);
    for (uint64_t step = 0; step < steps; ++step) {
      ASSERT_NO_FATAL_FAILURE(Step()) << "step " << step << " of RAYLET_MODEL_SEED=" << seed;
      if (step % 200 != 0) continue;
      ASSERT_NO_FATAL_FAILURE(ExpectSameObjects()) << "step " << step << " of RAYLET_MODEL_SEED=" << seed;
    }
    for (size_t client = 0; client < kClients; ++client) ASSERT_NO_FATAL_FAILURE(Disconnect(client));
    ASSERT_NO_FATAL_FAILURE(Connect(0));
    for (uint64_t number = 0; number < kIds; ++number) ASSERT_TRUE(clients_[0].client->Delete({{IdOfNumber(number)}}));
    EXPECT_TRUE(test::Eventually(seconds(20),
                                 [&] {
                                   const IndexCounters& counters = Counters();
                                   return counters.sealed_count == 0 && counters.unsealed_count == 0 &&
                                          counters.dying_count == 0 && counters.spilled_count == 0 &&
                                          counters.leased_bytes == 0 && counters.physical_bytes == 0;
                                 }))
        << Counters().sealed_count << " objects, " << Counters().physical_bytes << " bytes taken";
    EXPECT_EQ(Counters().lost_objects, 0u);
  }

  const IndexCounters& Counters() const { return index_->header().counters; }
  uint64_t times(ErrorCode code) const { return times_.contains(code) ? times_.at(code) : 0; }

 private:
  struct View {
    uint64_t number = 0, version = 0;
    PinnedObject object;
  };
  struct Client {
    std::shared_ptr<StoreClient> client;
    std::vector<View> views;
    std::map<uint64_t, ObjectWriter> writers;
  };

  void Connect(size_t number) {
    auto client = StoreClient::Connect(socket_, "random", Later(), false);
    ASSERT_TRUE(client) << client.error().message;
    clients_[number].client = *std::move(client);
  }
  void Disconnect(size_t number) {
    Client& client = clients_[number];
    while (!client.views.empty()) Release(number, client.views.size() - 1);
    client.writers.clear();
    const uint64_t connected = Counters().clients;
    client.client.reset();
    ASSERT_TRUE(test::Eventually(seconds(20), [&] { return Counters().clients == connected - 1; }));
    model_.Disconnect(number);
  }

  void Step() {
    const size_t client = random_() % kClients;
    const uint64_t number = random_() % kIds;
    Client& one = clients_[client];
    switch (random_() % 20) {
      case 0:
      case 1:
      case 2:
      case 3: return Put(client, number);
      case 4: return PutBatch(client, number);
      case 5:
      case 6: return Create(client, number);
      case 7:
      case 8: return one.writers.empty() ? void() : SealOne(client);
      case 9:
        if (one.writers.empty()) return;
        model_.Undo(one.writers.begin()->first);
        ASSERT_TRUE(std::move(one.writers.begin()->second).Abort());
        one.writers.erase(one.writers.begin());
        return;
      case 10:
      case 11:
      case 12: return Get(client, number);
      case 13:
      case 14:
      case 15: return one.views.empty() ? void() : Release(client, random_() % one.views.size());
      case 16: return ExpectCode(one.client->Delete({{IdOfNumber(number)}}), model_.Delete(number));
      case 17:
        return ExpectCode(one.client->DeleteAtLastRelease({{IdOfNumber(number)}}), model_.DeleteAtLastRelease(number));
      case 18: ASSERT_TRUE(one.client->Evict(random_() % 300'000)); return TakeEvictions();
      default:
        if (random_() % 20 != 0) return;
        ASSERT_NO_FATAL_FAILURE(Disconnect(client));
        return Connect(client);
    }
  }

  static void ExpectCode(const Result<std::vector<ErrorCode>>& codes, std::optional<ErrorCode> expected) {
    ASSERT_TRUE(codes) << codes.error().message;
    if (expected) {
      ASSERT_EQ(codes->front(), *expected);
    }
  }

  uint64_t SizeOfNext() { return random_() % 3 == 0 ? random_() % 100'000 : random_() % 6000; }
  bool OwnsNext() { return random_() % (has_disk_ ? 2 : 4) == 0; }
  // With room for certain, a create may wait for the disk. Otherwise it does not wait, and may be refused.
  bool HasRoom(uint64_t bytes) const { return model_.BytesThatStay(has_disk_) + bytes < kModelCapacity / 3; }
  CreateOptions OptionsFor(uint64_t bytes, bool owned) const {
    CreateOptions options;
    options.owned = owned;
    options.timeout_ms = has_disk_ && HasRoom(bytes) ? 20'000 : 0;
    return options;
  }

  // The model has created `number`, and the store has answered.
  void AfterCreate(uint64_t number, uint64_t bytes, bool had_room, ErrorCode expected, ErrorCode code) {
    ++times_[code];
    if (expected == ErrorCode::kOk && code == ErrorCode::kFull) {
      ASSERT_FALSE(had_room) << "a create of " << bytes << " bytes is refused";
      model_.Undo(number);
    } else {
      ASSERT_EQ(code, expected) << "object " << number << " of " << bytes << " bytes";
    }
    TakeEvictions();
  }

  template <class T>
  static ErrorCode CodeOf(const Result<T>& result) {
    return result ? ErrorCode::kOk : result.error().code;
  }

  void Put(size_t client, uint64_t number) {
    const uint64_t bytes = SizeOfNext();
    const bool owned = OwnsNext(), had_room = HasRoom(bytes);
    const CreateOptions options = OptionsFor(bytes, owned);
    const ErrorCode expected = model_.Create(number, bytes, client, owned, /*sealed=*/true);
    const auto data = BytesOfVersion(model_.Find(number)->version, bytes);
    const auto put = clients_[client].client->CreateAndSeal(IdOfNumber(number), data, {}, options);
    AfterCreate(number, bytes, had_room, expected, CodeOf(put));
  }

  void PutBatch(size_t client, uint64_t first) {
    std::vector<std::vector<std::byte>> data;
    std::vector<BatchObject> objects;
    std::vector<uint64_t> made;
    uint64_t all = 0;
    for (uint64_t number = first; number < first + 3; ++number) {
      if (number >= kIds || model_.Find(number) != nullptr) return;
      all += 1000 * (number - first + 1);
    }
    const bool had_room = HasRoom(all);
    for (uint64_t number = first; number < first + 3; ++number) {
      const uint64_t bytes = 1000 * (number - first + 1);
      ASSERT_EQ(model_.Create(number, bytes, client, false, /*sealed=*/true), ErrorCode::kOk);
      data.push_back(BytesOfVersion(model_.Find(number)->version, bytes));
    }
    for (uint64_t i = 0; i < 3; ++i) objects.push_back({.id = IdOfNumber(first + i), .data = data[i], .metadata = {}});
    const auto put = clients_[client].client->CreateAndSealBatch(objects, OptionsFor(all, false));
    ++times_[CodeOf(put)];
    if (!put) {
      ASSERT_TRUE(put.error().code == ErrorCode::kFull && (!had_room || has_disk_)) << put.error().message;
      for (uint64_t i = 0; i < 3; ++i) model_.Undo(first + i);
    }
    TakeEvictions();
  }

  void Create(size_t client, uint64_t number) {
    const uint64_t bytes = SizeOfNext();
    const bool owned = OwnsNext(), had_room = HasRoom(bytes);
    const CreateOptions options = OptionsFor(bytes, owned);
    const ErrorCode expected = model_.Create(number, bytes, client, owned, /*sealed=*/false);
    auto writer = clients_[client].client->Create(IdOfNumber(number), bytes, {}, options);
    ASSERT_NO_FATAL_FAILURE(AfterCreate(number, bytes, had_room, expected, CodeOf(writer)));
    if (!writer) return;
    const auto data = BytesOfVersion(model_.Find(number)->version, bytes);
    if (bytes > 0) std::memcpy(writer->data().data(), data.data(), bytes);
    clients_[client].writers[number] = *std::move(writer);
  }

  void SealOne(size_t client) {
    auto& writers = clients_[client].writers;
    const auto it = std::next(writers.begin(), static_cast<std::ptrdiff_t>(random_() % writers.size()));
    const auto sealed = std::move(it->second).Seal();
    ASSERT_TRUE(sealed) << sealed.error().message;
    model_.Seal(it->first);
    writers.erase(it);
  }

  void Get(size_t client, uint64_t number) {
    auto view = clients_[client].client->GetHere(IdOfNumber(number), Later());
    ASSERT_NO_FATAL_FAILURE(TakeEvictions());  // an object that comes from the disk needs room
    const auto version = model_.Get(number, client);
    ASSERT_TRUE(view) << view.error().message;
    ASSERT_EQ(view->has_value(), version.has_value()) << "object " << number;
    if (!version) return;
    ++gets_;
    View taken{.number = number, .version = *version, .object = **std::move(view)};
    ASSERT_NO_FATAL_FAILURE(ExpectBytes(taken));
    clients_[client].views.push_back(std::move(taken));
    if (clients_[client].views.size() > 6) Release(client, 0);
  }

  static void ExpectBytes(const View& view) {
    const auto bytes = BytesOfVersion(view.version, view.object.data().size());
    ASSERT_TRUE(std::ranges::equal(view.object.data(), bytes))
        << "object " << view.number << ", version " << view.version;
  }

  void Release(size_t client, size_t place) {
    auto& views = clients_[client].views;
    ASSERT_NO_FATAL_FAILURE(ExpectBytes(views[place]));
    model_.Release(views[place].number, views[place].version, client);
    views.erase(views.begin() + static_cast<std::ptrdiff_t>(place));
  }

  // The model follows the store's evictions, which are as many as the store counts, and of objects that may go.
  void TakeEvictions() {
    const uint64_t evictions = Counters().evictions;
    if (evictions == evictions_seen_) return;
    std::vector<uint64_t> evicted;
    for (const auto& [number, object] : model_.objects())
      if (StoreModel::MayBeEvicted(object) && !*clients_[0].client->Contains(IdOfNumber(number)))
        evicted.push_back(number);
    for (const uint64_t number : evicted) model_.Evicted(number);
    ASSERT_EQ(evicted.size(), evictions - evictions_seen_);
    evictions_seen_ = evictions;
  }

  void ExpectSameObjects() {
    const auto list = clients_[random_() % kClients].client->List();
    ASSERT_TRUE(list);
    std::map<uint64_t, ObjectInfo> there;
    for (const ObjectInfo& info : *list) there[NumberOfId(info.id)] = info;
    for (const auto& [number, object] : model_.objects()) {
      if (StoreModel::IsGone(object)) continue;
      ASSERT_TRUE(there.contains(number)) << "object " << number;
      const ObjectInfo& info = there.at(number);
      EXPECT_EQ(info.sealed, object.sealed) << number;
      EXPECT_EQ(info.data_bytes, object.bytes) << number;
      EXPECT_EQ(info.deleted, object.deleted) << number;
      there.erase(number);
    }
    ASSERT_TRUE(there.empty()) << "object " << there.begin()->first << " is there"
                               << (there.begin()->second.deleted ? ", and deleted" : "")
                               << (there.begin()->second.spilled ? ", and spilled" : "");
    uint64_t held = 0;
    for (const Client& client : clients_) {
      held += client.views.size();
      for (const View& view : client.views) ASSERT_NO_FATAL_FAILURE(ExpectBytes(view));
    }
    held_ = std::max(held_, held);
  }

  test::RunFolder folder_;
  const std::string socket_ = folder_.File("store");
  bool has_disk_ = false;
  std::optional<test::DaemonProcess> store_;
  std::optional<MappedIndex> index_;
  StoreModel model_;
  std::array<Client, kClients> clients_;
  std::mt19937_64 random_;
  std::map<ErrorCode, uint64_t> times_;
  uint64_t evictions_seen_ = 0;

 protected:
  uint64_t gets_ = 0, held_ = 0;
};

TEST_F(RandomOperationsTest, TheStoreDoesWhatTheModelSays) {
  const uint64_t steps = FromVariable("RAYLET_MODEL_STEPS", kStepsUsually);
  ASSERT_NO_FATAL_FAILURE(Start(/*has_disk=*/false));
  ASSERT_NO_FATAL_FAILURE(Run(steps, FromVariable("RAYLET_MODEL_SEED", 1)));
  EXPECT_GT(gets_, steps / 100);
  EXPECT_GT(Counters().evictions, steps / 100);
  EXPECT_GT(times(ErrorCode::kAlreadyExists), steps / 100);
  EXPECT_GT(times(ErrorCode::kFull), steps / 1000);
  EXPECT_GT(held_, 1u);
}

TEST_F(RandomOperationsTest, TheStoreDoesWhatTheModelSaysWithADiskBehindIt) {
  const uint64_t steps = FromVariable("RAYLET_MODEL_STEPS", kStepsUsually / 2);
  ASSERT_NO_FATAL_FAILURE(Start(/*has_disk=*/true));
  ASSERT_NO_FATAL_FAILURE(Run(steps, FromVariable("RAYLET_MODEL_SEED", 1)));
  EXPECT_GT(gets_, steps / 100);
  EXPECT_GT(Counters().spills, steps / 1000);
  EXPECT_GT(Counters().restores, 0u);
}

}  // namespace
}  // namespace raylet::client
