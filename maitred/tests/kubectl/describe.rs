//! describe.

use crate::harness::Server;
use crate::{NOT_FOUND, WEB};

#[test]
fn describe_shows_a_service_with_its_endpoints_and_events() {
    let Some(server) = Server::for_kubectl() else { return };
    let manifest = WEB.replace("  selector:\n    app: web\n", "");
    server.kubectl_with("create -f -", &manifest).ok("service/web created\n");
    let slice = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.1.0.1]}, {addresses: [10.1.0.2]}]
";
    server.kubectl_with("create -f -", slice).ok("endpointslice.discovery.k8s.io/web-1 created\n");
    server.kubectl("describe service web").ok(&format!("{DESCRIBED}Events:                   <none>\n"));
    let event = "
apiVersion: v1
kind: Event
metadata: {name: web.1}
type: Warning
reason: Tested
message: It was tested
involvedObject: {apiVersion: v1, kind: Service, namespace: default, name: web, uid: UID}
source: {component: a-test}
firstTimestamp: 'NOW'
lastTimestamp: 'NOW'
count: 1
";
    let of_web = |field: &str| server.kubectl(&format!("get service web -o jsonpath={{.metadata.{field}}}")).out;
    let event = event.replace("UID", &of_web("uid")).replace("NOW", &of_web("creationTimestamp"));
    server.kubectl_with("create -f -", &event).ok("event/web.1 created\n");
    server.kubectl("describe service web").described(&format!(
        "{DESCRIBED}\
Events:
  Type     Reason  Age   From    Message
  ----     ------  ----  ----    -------
  Warning  Tested  0s    a-test  It was tested
"
    ));
}

/// What is said of a Service before its Events.
const DESCRIBED: &str = "\
Name:                     web
Namespace:                default
Labels:                   <none>
Annotations:              <none>
Selector:                 <none>
Type:                     ClusterIP
IP Family Policy:         SingleStack
IP Families:              IPv4
IP:                       10.96.0.80
IPs:                      10.96.0.80
Port:                     http  80/TCP
TargetPort:               8080/TCP
Endpoints:                10.1.0.1:8080,10.1.0.2:8080
Session Affinity:         None
Internal Traffic Policy:  Cluster
";

#[test]
fn describe_knows_namespaces() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl("describe namespace default").ok("\
Name:         default
Labels:       kubernetes.io/metadata.name=default
Annotations:  <none>
Status:       Active
");
}

/// A node that renews its Lease, and a Pod on it that says of itself what admission would else add.
const NODE_AND_POD: &str = "
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: one, namespace: kube-node-lease}
spec: {holderIdentity: one, leaseDurationSeconds: 40, renewTime: 'NOW'}
---
apiVersion: v1
kind: Node
metadata:
  name: one
  labels: {kubernetes.io/hostname: one, node-role.kubernetes.io/edge: ''}
  annotations: {example.com/note: hello}
spec:
  taints: [{key: example.com/for, value: few, effect: PreferNoSchedule}]
status:
  addresses: [{type: InternalIP, address: 192.0.2.10}, {type: Hostname, address: one}]
  capacity: {cpu: '2', memory: 4Gi, pods: '110'}
  allocatable: {cpu: '2', memory: 4Gi, pods: '100'}
  conditions:
  - {type: Ready, status: 'True', reason: Tested, message: it is ready,
    lastHeartbeatTime: '2026-01-01T00:00:00Z', lastTransitionTime: '2026-01-02T00:00:00Z'}
  nodeInfo: {machineID: a-machine, systemUUID: a-system, bootID: a-boot, kernelVersion: 6.18.0, osImage: Debian,
    operatingSystem: linux, architecture: amd64, containerRuntimeVersion: host://1, kubeletVersion: v1.36.0,
    kubeProxyVersion: v1.36.1}
---
apiVersion: v1
kind: Pod
metadata: {name: idle, labels: {run: idle}}
spec:
  nodeName: one
  priority: 0
  serviceAccountName: default
  automountServiceAccountToken: false
  tolerations:
  - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}
  - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 300}
  containers:
  - name: idle
    image: host
    command: [sleep, '3600']
    ports: [{name: http, containerPort: 8080}]
    env: [{name: COLOUR, value: blue}]
    resources: {requests: {cpu: 250m, memory: 64Mi}}
    readinessProbe: {httpGet: {path: /ready, port: http}}
";

#[test]
fn describe_knows_nodes_and_pods() {
    let Some(server) = Server::for_kubectl() else { return };
    let now = server.kubectl("get namespace default -o jsonpath={.metadata.creationTimestamp}").out;
    let created = "lease.coordination.k8s.io/one created\nnode/one created\npod/idle created\n";
    server.kubectl_with("create -f -", &NODE_AND_POD.replace("NOW", &now.replace('Z', ".000000Z"))).ok(created);
    server
        .kubectl("wait node/one --for=jsonpath={.spec.podCIDR}=10.244.0.0/24 --timeout=30s")
        .ok("node/one condition met\n");
    server.kubectl("describe node one --show-events=false").described(
        "\
Name:               one
Roles:              edge
Labels:             kubernetes.io/hostname=one
                    node-role.kubernetes.io/edge=
Annotations:        example.com/note: hello
CreationTimestamp: *
Taints:             example.com/for=few:PreferNoSchedule
Unschedulable:      false
Lease:
  HolderIdentity:  one
  AcquireTime:     <unset>
  RenewTime: *
Conditions:
  Type    Status  LastHeartbeatTime                 LastTransitionTime                Reason   Message
  ----    ------  -----------------                 ------------------                ------   -------
  Ready   True    Thu, 01 Jan 2026 00:00:00 +0000   Fri, 02 Jan 2026 00:00:00 +0000   Tested   it is ready
Addresses:
  InternalIP:  192.0.2.10
  Hostname:    one
Capacity:
  cpu:     2
  memory:  4Gi
  pods:    110
Allocatable:
  cpu:     2
  memory:  4Gi
  pods:    100
System Info:
  Machine ID:                 a-machine
  System UUID:                a-system
  Boot ID:                    a-boot
  Kernel Version:             6.18.0
  OS Image:                   Debian
  Operating System:           linux
  Architecture:               amd64
  Container Runtime Version:  host://1
  Kubelet Version:            v1.36.0
  Kube-Proxy Version:         v1.36.1
PodCIDR:                      10.244.0.0/24
PodCIDRs:                     10.244.0.0/24,fd00:10:244::/64
Non-terminated Pods:          (1 in total)
  Namespace                   Name    CPU Requests  CPU Limits  Memory Requests  Memory Limits  Age
  ---------                   ----    ------------  ----------  ---------------  -------------  ---
  default                     idle    250m (12%)    0 (0%)      64Mi (1%)        0 (0%)         0s
Allocated resources:
  (Total limits may be over 100 percent, i.e., overcommitted.)
  Resource           Requests    Limits
  --------           --------    ------
  cpu                250m (12%)  0 (0%)
  memory             64Mi (1%)   0 (0%)
  ephemeral-storage  0 (0%)      0 (0%)
",
    );
    server.kubectl("describe pod idle").described(
        "\
Name:             idle
Namespace:        default
Priority:         0
Service Account:  default
Node:             one/
Labels:           run=idle
Annotations:      <none>
Status:           Pending
IP:               \n\
IPs:              <none>
Containers:
  idle:
    Image:      host
    Port:       8080/TCP
    Host Port:  0/TCP
    Command:
      sleep
      3600
    Requests:
      cpu:      250m
      memory:   64Mi
    Readiness:  http-get http://:http/ready delay=0s timeout=1s period=10s #success=1 #failure=3
    Environment:
      COLOUR:    blue
    Mounts:      <none>
Volumes:         <none>
QoS Class:       Burstable
Node-Selectors:  <none>
Tolerations:     node.kubernetes.io/not-ready:NoExecute op=Exists for 300s
                 node.kubernetes.io/unreachable:NoExecute op=Exists for 300s
Events:          <none>
",
    );
}

#[test]
fn describe_refuses_what_is_not_there() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl("describe service nothing").refused(NOT_FOUND);
    for (kind, plural) in [("node", "nodes"), ("pod", "pods"), ("namespace", "namespaces")] {
        let why = format!("Error from server (NotFound): {plural} \"nothing\" not found\n");
        server.kubectl(&format!("describe {kind} nothing")).refused(&why);
    }
}
