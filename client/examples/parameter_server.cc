// The parameter server of Ray's 2018 post. An actor hands out the current version of its parameters without copying
// them, and makes the next version from every gradient that it gets. First one server, then the parameters in shards
// over several of them; the workers' loop is the same.
#include <algorithm>
#include <stdexcept>
#include <vector>

#include <ray/api.h>

#include "parts/program.h"

struct ParameterServer {
  static ParameterServer* Create(size_t size) {
    return new ParameterServer{ray::Array<float>::CopyOf(std::vector<float>(size))};
  }
  ray::Array<float> Get() const { return params; }
  void Push(const ray::Array<float>& gradient) {
    ray::MutableArray<float> next(params.size());
    for (size_t i = 0; i < next.size(); ++i) next[i] = params[i] + gradient[i];
    params = std::move(next).Seal();
  }
  ray::Array<float> params;
};
RAY_REMOTE(ParameterServer::Create, &ParameterServer::Get, &ParameterServer::Push);

using Server = ray::ActorHandle<ParameterServer>;

void Work(const std::vector<Server>& servers, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    std::vector<ray::ObjectRef<ray::Array<float>>> shards;
    for (const Server& server : servers) shards.push_back(server.Task(&ParameterServer::Get).Remote());
    std::vector<ray::ObjectRef<void>> pushed;
    for (size_t i = 0; i < servers.size(); ++i) {
      ray::MutableArray<float> gradient(shards[i].Get()->size());  // a real worker would read the parameters here
      std::fill(gradient.begin(), gradient.end(), 1.0f);
      pushed.push_back(servers[i].Task(&ParameterServer::Push).Remote(std::move(gradient)));
    }
    ray::Get(pushed);
  }
}
RAY_REMOTE(Work);

// Every gradient adds one to every parameter, so what comes out does not depend on who was faster.
void Train(size_t server_count, size_t parameters, int workers, int rounds, example::Output& output) {
  std::vector<Server> servers;
  for (size_t i = 0; i < server_count; ++i)
    servers.push_back(ray::Actor(ParameterServer::Create).Remote(parameters / server_count));
  std::vector<ray::ObjectRef<void>> working;
  for (int i = 0; i < workers; ++i) working.push_back(ray::Task(Work).Remote(servers, rounds));
  ray::Get(working);

  const auto wanted = static_cast<float>(workers * rounds);
  size_t right = 0;
  for (const Server& server : servers) {
    const auto shard = server.Task(&ParameterServer::Get).Remote().Get();
    right += static_cast<size_t>(std::count(shard->begin(), shard->end(), wanted));
  }
  output.PrintResult("%zu server%s, %d workers, %d rounds: %zu of %zu parameters are %.0f", server_count,
                     server_count == 1 ? "" : "s", workers, rounds, right, parameters, static_cast<double>(wanted));
  if (right != parameters) throw std::runtime_error("the other parameters are wrong");
}

int main(int argc, char** argv) {
  return example::RunProgram(
      {"parameter_server",
       "a parameter server of fifteen lines, and then its parameters in shards over four of them",
       {},
       [](const example::Options&) {
         return [](example::Output& output) {
           Train(1, 10000, 2, 100, output);
           Train(4, 10000, 2, 100, output);
         };
       }},
      argc, argv);
}
