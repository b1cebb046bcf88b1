// ControlRules: what may follow what in a cell of the control store. Pure. Each rule looks at what the cell holds and
// says what it becomes, or refuses. A store carries a rule out as one step: nobody else's change falls between the look
// and the write; where one did, the rule is asked again. Always holds: a rule that is carried out twice (its answer was
// lost with a connection) changes nothing the second time and says the same, because who wrote, and in which epoch, is
// in the cell.
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
constexpr Duration kDeathKept = std::chrono::hours(1);               // that an actor is dead, a pair is deleted

struct CellChange {
  enum class Kind { kKeep, kWrite, kErase };
  Kind kind = Kind::kKeep;
  std::string value;                   // to write
  Duration expiry = Duration::zero();  // of what is written; zero: none
};
// What the cell holds, nothing where there is none.
using CellText = std::optional<std::string>;
using CellRule = std::function<Result<CellChange>(const CellText& now)>;

namespace control_rules {

// Writes, prolongs. kAlreadyExists while another life of this node id has a lease, unless it is an earlier life at the
// same address, which we could not listen at if that life still did.
CellRule RenewNode(NodeRecord record);
CellRule RemoveNode(NodeId node, uint64_t epoch);  // of this life alone
CellRule ClaimMachineNumber(MachineNumber machine, MachineClaim claim);

// kAlreadyExists while another actor has the name, unless that claim is `instead_of` and ours has a larger epoch:
// whoever replaces a claim has found its node dead. kWrongState where our own actor has claimed with a larger epoch.
CellRule ClaimName(NameClaim claim, std::optional<NameClaim> instead_of);
// What we had claimed, after the store may have lost it: the larger epoch wins, of equal ones who was there first.
CellRule RestoreName(NameClaim claim);
CellRule ReleaseName(NameClaim claim);  // this actor's, up to this epoch; nothing happens where another's is there

CellRule PlaceActor(
    ActorPlacement placement);  // kWrongState where a larger epoch, or another node in the same one, is there
CellRule ForgetActor(ActorId actor, uint64_t epoch);  // up to this epoch

// What a pair becomes; `written` says with which version.
CellRule PutKey(std::string key, std::string value, bool only_if_absent, std::shared_ptr<uint64_t> written);
CellRule DeleteKey(std::string key, std::shared_ptr<uint64_t> written);
// What we had put or deleted; kWrongState where a later version is there.
CellRule RestoreKey(KeyValue pair);

}  // namespace control_rules
}  // namespace raylet
