#include "store/absent_clients.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace raylet::store {

void AbsentClients::Add(uint32_t number, UniqueFd pins_fd, Mapping pins, UniqueFd socket, InheritedNotices inherited) {
  auto client = std::make_unique<Client>();
  client->pins_fd = std::move(pins_fd);
  client->pins = std::move(pins);
  client->socket = std::move(socket);
  client->inherited = std::move(inherited);
  // The client reads end of file and connects again. This end still hears when the client is gone.
  ::shutdown(client->socket.get(), SHUT_WR);
  client->watcher = FdWatcher(loop_, client->socket.get(), [this, number](FdWatcher::Events) { Read(number); });
  client->watcher.Watch({.readable = true});
  clients_[number] = std::move(client);
}

// What the client has sent to the earlier server. It sends again what nobody handled.
void AbsentClients::Read(uint32_t number) {
  const auto it = clients_.find(number);
  if (it == clients_.end()) return;
  char ignored[4096];
  const ssize_t got = ::recv(it->second->socket.get(), ignored, sizeof ignored, MSG_DONTWAIT);
  if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR))) return;
  auto had = std::move(it->second);
  clients_.erase(it);
  had->watcher.Cancel();
  ended_(number, std::move(had));
}

bool AbsentClients::Has(uint32_t number, uint64_t ticket) const {
  const auto it = clients_.find(number);
  return it != clients_.end() && it->second->pins.As<PinPage>()->ticket == ticket;
}

std::unique_ptr<AbsentClients::Client> AbsentClients::Take(uint32_t number) {
  const auto it = clients_.find(number);
  auto client = std::move(it->second);
  clients_.erase(it);
  client->watcher.Cancel();
  return client;
}

AbsentClients::Client* AbsentClients::Find(uint32_t number) {
  const auto it = clients_.find(number);
  return it == clients_.end() ? nullptr : it->second.get();
}

std::vector<uint32_t> AbsentClients::numbers() const {
  std::vector<uint32_t> numbers;
  for (const auto& [number, client] : clients_) numbers.push_back(number);
  return numbers;
}

}  // namespace raylet::store
