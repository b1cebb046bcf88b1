// ControlStore: what the raylets of a cluster agree on: who lives (leases), who owns which name, where actors are, and
// pairs of key and value. One interface, two stores: in process (memory_control_store.h) and in Redis
// (redis_control_store.h). Owned by main or a test; used by the raylet's loop thread only.
//
// Every call is asynchronous: it returns at once, and its `done` is called once, from the loop and never from inside
// the call. While the store is away a call waits until its deadline, then it is kUnavailable: it may have happened, or
// may not. Destroying the store drops what waits; nothing is called afterwards.
//
// Always holds: each change is one step that looks at what is there (control_rules.h), so that of two raylets one wins,
// and a change whose answer was lost can be made again. Nothing here is a lock: correctness rests on epochs, and
// whoever acts on an answer checks the epoch where it acts. All of it can be published again by those who own it
// (published.h).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "raylet/control/control_records.h"
#include "raylet/control/control_rules.h"

namespace raylet {

template <class T>
using Done = std::function<void(Result<T>)>;

constexpr size_t kControlListMax = 10'000;  // entries of one answer

class ControlStore {
 public:
  // A lease was prolonged.
  struct Renewal {
    bool fresh = false;       // there was none: the first one, or it had run out, or the store has lost it
    uint64_t connection = 0;  // another number: the store may have started again with older contents
  };
  // For people.
  struct State {
    std::string address;  // without a password
    bool connected = false;
    std::string problem;  // why not connected
    uint64_t connection = 0;
    size_t waiting = 0;  // calls
    uint64_t calls = 0, timed_out = 0;
  };

  ControlStore() = default;
  ControlStore(const ControlStore&) = delete;
  ControlStore& operator=(const ControlStore&) = delete;
  virtual ~ControlStore() = default;

  // Leases of 10 s; renew every 2 s. kAlreadyExists: another living raylet has this node id; the message says where.
  void RenewNode(const NodeRecord& record, Deadline deadline, Done<Renewal> done);
  void RemoveNode(const NodeId& node, uint64_t epoch, Deadline deadline, Done<void> done);
  void ListNodes(Deadline deadline, Done<std::vector<NodeRecord>> done);
  // kAlreadyExists: another raylet's; draw another base. Claimed again now and then, it stays ours; a week after the
  // last claim it is forgotten.
  void ClaimMachineNumber(MachineNumber machine, const MachineClaim& claim, Deadline deadline, Done<void> done);

  // Whether names and pairs may be changed. A store that was empty is settled once everybody has had the time to
  // restore what is theirs and somebody marks it so; before that, claims, puts and deletes are kUnavailable at once.
  void IsSettled(Deadline deadline, Done<bool> done);
  void MarkSettled(Deadline deadline, Done<void> done);

  // One actor owns a name, in one epoch. kAlreadyExists, unless `instead_of` is who has it: the caller has found its
  // node dead, and claims with a larger epoch.
  void ClaimName(const NameClaim& claim, const std::optional<NameClaim>& instead_of, Deadline deadline,
                 Done<void> done);
  void RestoreName(const NameClaim& claim, Deadline deadline, Done<void> done);  // ours, after the store lost it
  void ReleaseName(const NameClaim& claim, Deadline deadline, Done<void> done);
  void FindName(const std::string& actor_namespace, const std::string& name, Deadline deadline, Done<NameClaim> done);

  // A larger epoch replaces a smaller one; kWrongState the other way round.
  void PlaceActor(const ActorPlacement& placement, Deadline deadline, Done<void> done);
  void FindActor(const ActorId& actor, Deadline deadline, Done<ActorPlacement> done);
  void ForgetActor(const ActorId& actor, uint64_t epoch, Deadline deadline, Done<void> done);

  // Pairs. A put or delete says which version it wrote; with `only_if_absent` another value there is kAlreadyExists (an
  // equal one counts as ours). Deleting what is not there is version 0.
  void PutKey(const std::string& key, const std::string& value, bool only_if_absent, Deadline deadline,
              Done<uint64_t> done);
  void GetKey(const std::string& key, Deadline deadline, Done<KeyValue> done);
  void DeleteKey(const std::string& key, Deadline deadline, Done<uint64_t> done);
  void ListKeys(const std::string& prefix, Deadline deadline, Done<std::vector<std::string>> done);
  void RestoreKey(const KeyValue& pair, Deadline deadline, Done<void> done);

  virtual State state() const = 0;

 protected:
  // A cell's name is its kind and a name within it. Kinds that are listed keep an index of their names.
  struct Cell {
    std::string_view kind;
    std::string name;
    bool listed = false;
    std::string Key() const;  // kind:name
  };
  struct Changed {
    bool existed = false;
    uint64_t connection = 0;
  };
  // What a list shall have of a cell; nothing: not this one.
  using Pick = std::function<std::optional<std::string>(const std::string& name, const std::string& value)>;

  // What a store has to do. `done` as above; a rule's refusal is its error.
  virtual void Change(Cell cell, CellRule rule, Deadline deadline, Done<Changed> done) = 0;
  virtual void Read(Cell cell, Deadline deadline, Done<CellText> done) = 0;
  // Of a kind that is listed. kFull where there are more than kControlListMax.
  virtual void List(std::string_view kind, std::string prefix, Pick pick, Deadline deadline,
                    Done<std::vector<std::string>> done) = 0;
  static Error TooManyListed(std::string_view kind, const std::string& prefix);
  virtual void Later(std::function<void()> work) = 0;  // from the loop, unless the store is destroyed first

 private:
  // Refuses what must not be written, whatever is there.
  template <class Record>
  bool Sound(const Record& record, std::function<void(Error)> refused);
  // Does `change` if the store is settled; otherwise, and when that cannot be known, `refused` hears why.
  void WhenSettled(Deadline deadline, std::function<void(Error)> refused, std::function<void()> change);
  void ChangePair(const std::string& key, CellRule rule, std::shared_ptr<uint64_t> written, Deadline deadline,
                  Done<uint64_t> done);
  void ChangeOnly(Cell cell, CellRule rule, Deadline deadline, Done<void> done);
};

}  // namespace raylet
