// ControlLink: this raylet's membership in its cluster's control store. It joins, renews its lease every two seconds,
// lists the other living raylets, and publishes again what the store has lost. Owned by main; the raylet's loop thread
// only; the store outlives it. No local work waits for it.
// Always holds: an item given to publish is published, or will be once the store is reachable. A store that lost its
// contents has all of this raylet's items again within one renewal.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/loop.h"
#include "raylet/control/control_store.h"
#include "raylet/control/published.h"

namespace raylet {

struct ControlLinkOptions {
  std::chrono::milliseconds renew_every{2'000};
  std::chrono::milliseconds call_timeout{2'000};  // for calls that the link makes by itself
  std::chrono::milliseconds take_number_every{3'600'000};
  std::chrono::milliseconds restored_after{2'500};  // every raylet has renewed by then
  std::chrono::milliseconds retry_every{200};       // to take a name or put, while the store is not restored
  size_t told_at_once = 256;
  size_t checked_each_time = 16;
  bool store_is_new = false;  // no raylet has written to it yet: it is restored from the start
};

class ControlLink {
 public:
  struct Status {
    NodeRecord own;
    bool joined = false;
    std::string problem;  // why the last renewal failed
    std::optional<TimePoint> renewed;
    bool restored = false;
    size_t published = 0, due = 0;
    uint64_t losses = 0;
    std::vector<NodeRecord> nodes;  // own one included, as of `listed`
    std::optional<TimePoint> listed;
    ControlStore::State store;
  };

  // With `own.machine` kNoMachine, Join draws a machine number, and draws again where another
  // raylet has it.
  ControlLink(Loop& loop, const Clock& clock, ControlStore& store, NodeRecord own, ControlLinkOptions options = {});
  ~ControlLink();  // no callback afterwards

  // Called with every list of living raylets, own one included. A list is a hint: sessions decide
  // who is dead.
  void SetOnNodes(std::function<void(const std::vector<NodeRecord>&)> nodes) { on_nodes_ = std::move(nodes); }
  // Called when an item of ours belongs to another: the store has a larger epoch or version of it.
  void SetOnLost(std::function<void(const Published::Lost&)> lost) { on_lost_ = std::move(lost); }

  // Called once when another raylet has the lease of our node id. Our lease ran out while the store
  // was out of reach; this raylet has to end.
  void SetOnTakenOver(std::function<void(const Error&)> taken_over) { on_taken_over_ = std::move(taken_over); }

  // Takes the machine number and the lease, then keeps renewing the lease. kAlreadyExists: two
  // raylets have one node id, or another raylet has the machine number.
  void Join(Deadline deadline, Done<void> done);
  // Gives the lease back, so that no raylet waits for it to run out. A Join under way gets no
  // answer.
  void Leave(Deadline deadline, std::function<void()> left);
  const NodeRecord& own() const { return own_; }
  ControlStore& store() { return store_; }  // for reading; changes go through the link

  // Waits until the deadline while the store is away or not restored. A name that fails is
  // withdrawn.
  void TakeName(const NameEntry& entry, const std::optional<NameEntry>& instead_of, Deadline deadline, Done<void> done);
  void PutKey(const std::string& key, const std::string& value, bool only_if_absent, Deadline deadline,
              Done<uint64_t> done);
  void DeleteKey(const std::string& key, Deadline deadline, Done<uint64_t> done);
  // These are published once the store is reachable.
  void ReleaseName(const NameEntry& entry);
  void PlaceActor(const ActorPlacement& placement);
  void ForgetActor(const ActorId& actor, uint64_t epoch);

  Status status() const;

 private:
  void TakeMachineNumber(Deadline deadline, Done<void> done);
  void Renew();
  void Renewed(const Result<ControlStore::Renewal>& renewal);
  void AskWhetherRestored();
  void DeclareRestored();
  void ListNodes();
  void TellSoon();
  void TellDue();
  void Tell(const Published::Telling& telling);
  // Runs `attempt` again while it is kUnavailable and its deadline has not passed.
  template <class T>
  void Persist(std::function<void(Done<T>)> attempt, Deadline deadline, Done<T> done);
  std::function<void()> WhileAlive(std::function<void()> work);
  template <class T>
  Done<T> WhileAlive(Done<T> done);
  Deadline Soon() const;

  Loop& loop_;
  const Clock& clock_;
  ControlStore& store_;
  NodeRecord own_;
  const ControlLinkOptions options_;
  const bool draws_;  // its own machine number
  std::function<void(const std::vector<NodeRecord>&)> on_nodes_;
  std::function<void(const Published::Lost&)> on_lost_;
  std::function<void(const Error&)> on_taken_over_;

  bool joined_ = false;
  bool leaving_ = false;
  bool renewing_ = false;
  TimePoint number_taken_{};
  Timer renew_timer_;
  std::string problem_;
  std::optional<TimePoint> renewed_;
  bool restored_ = false;
  Timer restored_timer_;
  Published published_;
  bool tell_posted_ = false;
  size_t telling_ = 0;  // under way
  std::vector<NodeRecord> nodes_;
  std::optional<TimePoint> listed_;
  std::unordered_map<uint64_t, Timer> retries_;
  uint64_t next_retry_ = 1;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace raylet
