// LeasedWriter: small puts of this process without a message (fbs/put_page.h). It writes an object into a run that the
// daemon has leased to this client, and posts it on the client's own ring. Owned by a StoreSession; any thread. The
// ring is opened once a program has made a few small puts.
// Always holds: where a call returns nothing, nothing was done, or the daemon refused it; a message then does it, or
// finds the error. A put whose wait ends early may be there yet. The leases end with the store's server. Nothing is
// written into a run once another server serves, and the ring is opened anew.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/bell.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/result.h"
#include "base/ring.h"
#include "base/shm_segment.h"
#include "client/plasma/mapped_arena.h"
#include "client/plasma/mapped_index.h"
#include "client/plasma/store_client.h"
#include "client/plasma/store_connection.h"
#include "fbs/put_page.h"

namespace raylet::client {

class LeasedWriter {
 public:
  // All of them outlive this.
  LeasedWriter(StoreConnection& connection, MappedArena& arena, const MappedIndex& index, PinPage& pins,
               uint32_t client)
      : connection_(connection), arena_(arena), index_(index), pins_(pins), client_(client) {}

  // Returns when the object is visible to all.
  std::optional<Result<void>> TryPut(const BatchObject& object, const CreateOptions& options, Duration patience);
  // Returns once it is posted. Waits only while kPostsMax posts, or all leased runs of its size, are under way.
  std::optional<Result<void>> TryPutAsync(const BatchObject& object, const CreateOptions& options, Duration patience);
  // All of them, or none. They become visible in order.
  std::optional<Result<void>> TryPutAll(std::span<const BatchObject> objects, const CreateOptions& options,
                                        Duration patience);
  // An object that this client created by a message.
  std::optional<Result<void>> TrySeal(const ObjectId& id, Duration patience);
  bool TrySealAsync(const ObjectId& id);
  // Until all that was posted is carried out. The first failure of an asynchronous put since the last call.
  Result<void> AwaitPuts(Duration patience);

 private:
  // One post under way.
  struct Outcome {
    bool known = false;
    ErrorCode code = ErrorCode::kOk;
  };
  struct Post {
    Outcome* outcome = nullptr;  // of a thread that waits for it
    bool reported = false;       // by AwaitPuts, where it fails
    bool seals = false;          // the connection knows, and asks the next server to do it
    ObjectId id;
  };
  struct Run {
    uint32_t slot = 0;
    uint64_t offset = 0;
  };
  struct OfClass {
    uint32_t next = 0;  // the place of the next grant, modulo kGrantsPerClass
    uint32_t wanted = 0;
    std::vector<Run> spare;  // taken, and not used
  };
  // The result of one look at the ring.
  struct Step {
    enum Kind { kByMessage, kPosted, kWaits } kind = kByMessage;
    uint32_t post = 0;           // which was made, or is waited for
    Outcome* outcome = nullptr;  // of a post that is waited for until its outcome is known
  };
  enum class State { kUnused, kOpening, kOpen, kNone };
  // A call that uses the ring without the lock.
  class Use {
   public:
    explicit Use(LeasedWriter& of) : of_(of) {}
    ~Use() {
      if (begun_) of_.users_.fetch_sub(1, std::memory_order_release);  // with the acquire in Leave
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    bool begun() const { return begun_; }

   private:
    friend LeasedWriter;
    LeasedWriter& of_;
    bool begun_ = false;
  };

  // Opens the ring, and calls attempt() under the lock until it has posted, or leaves the put to a message. A get that
  // waits for `woken` is woken with the daemon.
  template <class Attempt>
  std::optional<Result<void>> PutBy(const ObjectId* woken, Duration patience, Attempt attempt);
  // Whether the ring is there; kTimedOut where the daemon does not answer.
  Result<bool> Open(Duration patience);
  Result<void> Attach(Duration patience);
  std::optional<Run> TakeRun(uint32_t put_class) RAYLET_REQUIRES(mutex_);
  bool HasRuns(uint32_t put_class, uint32_t count) RAYLET_REQUIRES(mutex_);
  bool Want(uint32_t put_class, uint32_t count) RAYLET_REQUIRES(mutex_);
  bool Write(const Run& run, const BatchObject& object) RAYLET_REQUIRES(mutex_);  // false: another server serves
  bool TryPost(const BatchObject& object, const CreateOptions& options, Post post) RAYLET_REQUIRES(mutex_);
  bool TryPostAll(std::span<const BatchObject> objects, const CreateOptions& options, Post post)
      RAYLET_REQUIRES(mutex_);
  bool PostSeal(const ObjectId& id, Post post) RAYLET_REQUIRES(mutex_);
  bool Commit(PutPostType type, std::span<const std::byte> head, std::span<const std::byte> rest, Post post)
      RAYLET_REQUIRES(mutex_);
  void Collect() RAYLET_REQUIRES(mutex_);
  // Wakes a sleeping daemon, and with it a get that waits for `id`, so that the two wake-ups overlap.
  void RingBell(const ObjectId* id = nullptr) {
    if (!TakeDaemonSleeps(*page_)) [[likely]]
      return;
    bell_.Ring();
    if (id != nullptr) FutexWakeAll(&index_.SealsOf(*id));
  }
  bool Done(uint32_t post) const {  // the acquire brings its outcome along
    return static_cast<int32_t>(page_->done.load(std::memory_order_acquire) - post) > 0;
  }
  void Begin(Use& use) RAYLET_REQUIRES(mutex_) {
    if (!std::exchange(use.begun_, true)) users_.fetch_add(1, std::memory_order_relaxed);
  }
  bool IsOpen() const RAYLET_REQUIRES(mutex_) { return state_.load(std::memory_order_relaxed) == State::kOpen; }
  // Another server serves: the ring is dead.
  bool IsLost() const {
    return index_.header().restarts.load(std::memory_order_relaxed) != restarts_.load(std::memory_order_relaxed);
  }
  void LoseReported() RAYLET_REQUIRES(mutex_);  // the posts that no server answers
  // Drops the ring of a server that died, once nobody uses it. False: somebody does.
  bool Leave() RAYLET_EXCLUDES(mutex_);
  Result<void> WaitFor(uint32_t post, Duration patience);
  // Nothing where the server died: a message goes to the next one.
  std::optional<Result<void>> NotAnswered(Result<void> waited) const;
  std::optional<Result<void>> OutcomeOf(uint32_t post, Outcome& outcome, Duration patience);

  StoreConnection& connection_;
  MappedArena& arena_;
  const MappedIndex& index_;
  PinPage& pins_;
  const uint32_t client_;
  std::atomic<State> state_{State::kUnused};
  std::atomic<uint32_t> puts_seen_{0};  // before it is open
  // Set before state_ is kOpen, with its release.
  Mapping memory_;
  PutPage* page_ = nullptr;
  Bell bell_;
  std::byte* base_ = nullptr;          // of the arena, for writing
  std::atomic<uint32_t> restarts_{0};  // when the server that serves the ring was asked for it
  uint64_t restored_ = 0;              // of the connection to it

  std::atomic<uint32_t> users_{0};
  Mutex mutex_;
  RingProducer ring_ RAYLET_GUARDED_BY(mutex_);
  uint32_t posted_ RAYLET_GUARDED_BY(mutex_) = 0, collected_ RAYLET_GUARDED_BY(mutex_) = 0;
  std::vector<Post> posts_ RAYLET_GUARDED_BY(mutex_);  // those from collected_ to posted_, at n % kPostsMax
  std::array<OfClass, kPutClasses> classes_ RAYLET_GUARDED_BY(mutex_);
  std::optional<Error> failure_ RAYLET_GUARDED_BY(mutex_);  // the first since AwaitPuts
};

}  // namespace raylet::client
