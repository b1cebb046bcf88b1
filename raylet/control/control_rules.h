// ControlRules: which changes a cell of the control store allows. Pure. Each rule reads what the
// cell holds and returns its new content, or refuses.
// A store carries out a rule as one step: no other change falls between read and write. After such
// a change the store asks the rule again.
// Always holds: a rule carried out twice, because its answer was lost with a connection, changes
// nothing the second time and returns the same. The cell itself records who wrote it and in which
// epoch.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "raylet/control/control_records.h"

namespace raylet {

constexpr Duration kNodeLease = std::chrono::seconds(10);
constexpr Duration kMachineNumberKept = std::chrono::hours(24 * 7);  // after its raylet's last renewal
constexpr Duration kDeathKept = std::chrono::hours(1);               // how long the store remembers a death or deletion

struct CellChange {
  enum class Kind { kKeep, kWrite, kErase };
  Kind kind = Kind::kKeep;
  std::string value;                   // to write
  Duration expiry = Duration::zero();  // of the written value; zero: none
};
// The content of the cell, or nothing where there is no cell.
using CellText = std::optional<std::string>;
using CellRule = std::function<Result<CellChange>(const CellText& now)>;

namespace control_rules {

// Writes and prolongs the lease. kAlreadyExists while another life of this node id has a lease. An
// earlier life at the same address is no obstacle: if it still lived, we could not listen there.
CellRule RenewNode(NodeRecord record);
CellRule RemoveNode(NodeId node, uint64_t epoch);  // only of this life
CellRule TakeMachineNumber(MachineNumber machine, MachineEntry entry);

// kAlreadyExists while another actor has the name, unless that entry is `instead_of` and ours has a
// larger epoch. A raylet that replaces an entry has found its node dead. kWrongState where our own
// actor has taken the name with a larger epoch.
CellRule TakeName(NameEntry entry, std::optional<NameEntry> instead_of);
// Takes again what we had taken, after the store may have lost it. The larger epoch wins; of
// equal epochs, the first entry.
CellRule RestoreName(NameEntry entry);
CellRule ReleaseName(NameEntry entry);  // only this actor's entry, up to this epoch; leaves another actor's entry alone

CellRule PlaceActor(
    ActorPlacement placement);  // kWrongState where the cell has a larger epoch, or another node in the same one
CellRule ForgetActor(ActorId actor, uint64_t epoch);  // up to this epoch

// The new content of a pair; `written` gets its version.
CellRule PutKey(std::string key, std::string value, bool only_if_absent, std::shared_ptr<uint64_t> written);
CellRule DeleteKey(std::string key, std::shared_ptr<uint64_t> written);
// Tells again what we had put or deleted. kWrongState where the cell has a later version.
CellRule RestoreKey(KeyValue pair);

}  // namespace control_rules
}  // namespace raylet
