#include "raylet/node/peer_post.h"

#include "base/log.h"
#include "base/strings.h"

namespace raylet {
namespace {

constexpr size_t kEndedKeptMax =
    100'000;  // ended processes of one machine that are remembered, so that nothing waits for them

// Larger than the epochs of earlier lives of this node, if the machine's clock has not gone back. The random part tells
// two lives apart that begin in the same millisecond.
uint64_t NewEpoch() {
  constexpr int kRandomBits = 20;
  uint64_t low = 0;
  FillRandom(reinterpret_cast<uint8_t*>(&low), sizeof low);
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch() / std::chrono::milliseconds(1);
  return static_cast<uint64_t>(since_1970) << kRandomBits | low >> (64 - kRandomBits);
}

}  // namespace

PeerPost::PeerPost(Loop& loop, const Clock& clock, const std::optional<ClusterOptions>& cluster)
    : loop_(loop),
      clock_(clock),
      node_(cluster && !cluster->node.IsNil() ? cluster->node : NodeId::FromRandom()),
      view_(node_),
      outboxes_([this](const NodeId& node, uint16_t type,
                       std::span<const std::byte> body) { return links_->Send(node, type, body); },
                cluster ? cluster->outbox_bytes_max : kOutboxBytesMax),
      end_overfull_(loop, [this] { EndOverfull(); }) {}

Result<void> PeerPost::Join(const ClusterOptions& cluster, PeerLinks::Handler& handler) {
  PeerLinksOptions options;
  options.own.node = node_;
  options.own.epoch = NewEpoch();
  options.own.machine = machine_;
  options.token = cluster.token;
  options.limits = cluster.limits;
  links_ = std::make_unique<PeerLinks>(loop_, clock_, std::move(options), view_, handler);
  RAYLET_RETURN_IF_ERROR(links_->Listen(cluster.listen));
  for (const TcpAddress& address : cluster.peers) RAYLET_RETURN_IF_ERROR(links_->Seek(address));
  return {};
}

NodeRecord PeerPost::OwnRecord() const {
  return {node_, joined() ? links_->own().epoch : 0, machine_, OwnAddress(), kBuild};
}

void PeerPost::KnowNodes(const std::vector<NodeRecord>& nodes) {
  if (!joined()) return;
  std::map<NodeId, std::string> known;
  for (const NodeRecord& node : nodes) {
    if (node.id == node_) continue;
    known[node.id] = node.address;
    if (const auto before = known_nodes_.find(node.id); before != known_nodes_.end() && before->second == node.address)
      continue;
    auto address = ParseTcpAddress(node.address);
    const auto sought = address ? links_->Seek(*address, node.id) : Result<void>(Fail(address.error()));
    if (!sought)
      RAYLET_LOG(kWarning, "raylet ", node.id.hex(), " at ", node.address, " is not sought: ", sought.error().message);
  }
  for (const auto& [id, address] : known_nodes_)
    if (const auto now = known.find(id); now == known.end() || now->second != address) links_->Forget(address);
  known_nodes_ = std::move(known);
}

void PeerPost::Stop(const std::string& why) {
  if (joined()) links_->Stop(why);
}

void PeerPost::Send(const NodeId& node, uint16_t type, Bytes body) {
  if (!joined()) return;
  const auto posted = outboxes_.Post(node, type, std::move(body));
  // Later: the caller may be about to tell that machine, or others, more of the same event.
  if (!posted && overfull_.emplace(node, posted.error()).second) end_overfull_.Ask();
}

void PeerPost::EndOverfull() {
  for (const auto& [node, why] : std::exchange(overfull_, {})) links_->End(node, why);
}

void PeerPost::TellAll(wire::WorkMessage type, const Bytes& body) {
  for (const auto& [id, node] : view_.nodes())
    if (node.state != NodeState::kDead) Tell(id, type, body);
}

// ---- names, numbers and addresses

std::string PeerPost::OwnAddress() const { return joined() ? links_->own().address : ""; }

std::vector<std::string> PeerPost::KnownAddresses() const {
  if (!joined()) return {};
  std::vector<std::string> addresses = {OwnAddress()};
  for (const auto& [id, node] : view_.nodes()) addresses.push_back(node.address);
  for (const auto& [id, address] : known_nodes_) addresses.push_back(address);
  return addresses;
}

std::string PeerPost::AddressOf(const NodeId& node) const {
  const ClusterView::Node* const known = view_.Find(node);
  return known == nullptr || known->address.empty() ? node.hex() : known->address;
}

std::string PeerPost::AddressOfProcess(ProcessId process) const {
  const ClusterView::Node* const node = view_.NodeOf(process);
  return node == nullptr ? "" : AddressOf(node->id);
}

std::string PeerPost::WhyLost(const NodeId& node) const {
  const ClusterView::Node* const known = view_.Find(node);
  return known == nullptr ? "" : known->why_dead;
}

std::string PeerPost::WhyLostMachineOf(ProcessId process) const {
  const ClusterView::Node* const known = view_.NodeOf(process);
  return known == nullptr ? "" : known->why_dead;
}

MachineNumber PeerPost::MachineNumberOf(const NodeId& node) const {
  const ClusterView::Node* const known = view_.Find(node);
  return known == nullptr ? kNoMachine : known->machine;
}

const ClusterView::Node* PeerPost::HomeOf(const ActorId& actor) const {
  const ClusterView::Node* const node = view_.NodeOf(CreatorOf(actor));
  return node == nullptr || node->state == NodeState::kDead ? nullptr : node;
}

const ClusterView::Node* PeerPost::LivingNode(const NodeId& node) const {
  const ClusterView::Node* const known = view_.Find(node);
  return known == nullptr || known->state == NodeState::kDead ? nullptr : known;
}

Result<void> PeerPost::CheckSpeaksFor(const NodeId& node, ProcessId process) const {
  if (MachineOf(process) == MachineNumberOf(node)) return {};
  return Fail(ErrorCode::kProtocolError,
              StrCat("the machine at ", AddressOf(node), " speaks of process ", process, ", which is not its own"));
}

// ---- processes that have ended

void PeerPost::ProcessesEnded(const NodeId& node, const ProcessSet& processes) {
  auto& ended = remote_ended_[node];
  for (const ProcessId process : processes) {
    if (ended.size() >= kEndedKeptMax) ended.erase(ended.begin());  // the range with the smallest numbers
    ended.insert(process);
  }
}

void PeerPost::MachineLost(const NodeId& node) {
  outboxes_.Drop(node);
  overfull_.erase(node);
  remote_ended_.erase(node);
}

bool PeerPost::RemoteLives(ProcessId process) const {
  const ClusterView::Node* const node = view_.NodeOf(process);
  if (node == nullptr || node->state == NodeState::kDead) return false;
  const auto ended = remote_ended_.find(node->id);
  return ended == remote_ended_.end() || !ended->second.contains(process);
}

}  // namespace raylet
