// ControlStore: the facts on which the raylets of a cluster agree. These are leases (which raylets live), names of
// actors, places of actors, and pairs of key and value. One interface, two stores: in process (memory_control_store.h)
// and in Redis (redis_control_store.h). Owned by main or a test; the raylet's loop thread only.
//
// Every call is asynchronous. It returns at once, and its `done` is called once, from the loop and never from inside
// the call. While the store is away a call waits until its deadline and then fails with kUnavailable; it may have taken
// effect. Destroying the store drops the waiting calls; no callback follows.
//
// Always holds: each change is one step that reads the cell before it writes (control_rules.h). So
// of two raylets one wins, and a change whose answer was lost can be made again. Nothing here is a
// lock. Correctness rests on epochs: a raylet that acts on an answer checks the epoch where it
// acts. The owners of all this can publish it again (published.h).
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

constexpr size_t kControlListMax = 10'000;  // entries in one answer

class ControlStore {
 public:
  // The outcome of a renewal.
  struct Renewal {
    bool fresh = false;       // there was no lease: it is the first, it had run out, or the store has lost it
    uint64_t connection = 0;  // a new number means that the store may have restarted with older contents
  };
  // For people.
  struct State {
    std::string address;  // without a password
    bool connected = false;
    std::string problem;  // why it is not connected
    uint64_t connection = 0;
    size_t waiting = 0;  // number of waiting calls
    uint64_t calls = 0, timed_out = 0;
  };

  ControlStore() = default;
  ControlStore(const ControlStore&) = delete;
  ControlStore& operator=(const ControlStore&) = delete;
  virtual ~ControlStore() = default;

  // Leases last 10 s; renew every 2 s. kAlreadyExists: another living raylet has this node id, and
  // the message says where.
  void RenewNode(const NodeRecord& record, Deadline deadline, Done<Renewal> done);
  void RemoveNode(const NodeId& node, uint64_t epoch, Deadline deadline, Done<void> done);
  void ListNodes(Deadline deadline, Done<std::vector<NodeRecord>> done);
  // kAlreadyExists: another raylet has this number, so draw another. Take it again now and then to
  // keep it; the store forgets it a week after it was last taken.
  void TakeMachineNumber(MachineNumber machine, const MachineEntry& entry, Deadline deadline, Done<void> done);

  // Whether names and pairs may be changed. A store that was empty is restored once all raylets have
  // had time to restore their items and one of them marks it so. Until then names, puts and
  // deletes are kUnavailable at once.
  void IsRestored(Deadline deadline, Done<bool> done);
  void MarkRestored(Deadline deadline, Done<void> done);

  // One actor owns a name, in one epoch. kAlreadyExists while another entry has it, unless that entry is `instead_of`.
  // A caller that passes `instead_of` has found the entry's node dead, and takes the name with a larger epoch.
  void TakeName(const NameEntry& entry, const std::optional<NameEntry>& instead_of, Deadline deadline, Done<void> done);
  // Takes ours again after the store lost it.
  void RestoreName(const NameEntry& entry, Deadline deadline, Done<void> done);
  void ReleaseName(const NameEntry& entry, Deadline deadline, Done<void> done);
  void FindName(const std::string& actor_namespace, const std::string& name, Deadline deadline, Done<NameEntry> done);

  // A larger epoch replaces a smaller one. A smaller one is kWrongState.
  void PlaceActor(const ActorPlacement& placement, Deadline deadline, Done<void> done);
  void FindActor(const ActorId& actor, Deadline deadline, Done<ActorPlacement> done);
  void ForgetActor(const ActorId& actor, uint64_t epoch, Deadline deadline, Done<void> done);

  // Pairs. A put or delete returns the version that it wrote. With `only_if_absent`, another value
  // in the cell is kAlreadyExists; an equal value counts as ours. Deleting an absent pair returns
  // version 0.
  void PutKey(const std::string& key, const std::string& value, bool only_if_absent, Deadline deadline,
              Done<uint64_t> done);
  void GetKey(const std::string& key, Deadline deadline, Done<KeyValue> done);
  void DeleteKey(const std::string& key, Deadline deadline, Done<uint64_t> done);
  void ListKeys(const std::string& prefix, Deadline deadline, Done<std::vector<std::string>> done);
  void RestoreKey(const KeyValue& pair, Deadline deadline, Done<void> done);

  virtual State state() const = 0;

 protected:
  // A cell's name is its kind and a name within that kind. Listed kinds keep an index of their
  // names.
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
  // The part of a cell that goes into a list. It returns nothing for a cell that stays out of the list.
  using Pick = std::function<std::optional<std::string>(const std::string& name, const std::string& value)>;

  // The work of a store. `done` is as above; a rule's refusal becomes its error.
  virtual void Change(Cell cell, CellRule rule, Deadline deadline, Done<Changed> done) = 0;
  virtual void Read(Cell cell, Deadline deadline, Done<CellText> done) = 0;
  // Lists cells of a listed kind. kFull where there are more than kControlListMax.
  virtual void List(std::string_view kind, std::string prefix, Pick pick, Deadline deadline,
                    Done<std::vector<std::string>> done) = 0;
  static Error TooManyListed(std::string_view kind, const std::string& prefix);
  virtual void Later(std::function<void()> work) = 0;  // from the loop; dropped when the store is destroyed first

 private:
  // Refuses a record that must not be written in any state.
  template <class Record>
  bool Sound(const Record& record, std::function<void(Error)> refused);
  // Runs `change` if the store is restored. Otherwise, and when that is unknown, calls `refused`
  // with the reason.
  void WhenRestored(Deadline deadline, std::function<void(Error)> refused, std::function<void()> change);
  void ChangePair(const std::string& key, CellRule rule, std::shared_ptr<uint64_t> written, Deadline deadline,
                  Done<uint64_t> done);
  void ChangeOnly(Cell cell, CellRule rule, Deadline deadline, Done<void> done);
};

}  // namespace raylet
