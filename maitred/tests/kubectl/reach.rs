//! What reaches into a running Pod: logs, exec, attach, port-forward.

use crate::harness::Server;

/// A Pod on a node that nobody is.
const POD: &str = "
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  nodeName: node-1
  containers:
  - name: web
    image: host
    command: [sleep, infinity]
";

#[test]
fn what_is_not_served_says_so_and_where_a_pods_output_lies() {
    let Some(server) = Server::for_kubectl() else { return };
    server.kubectl_with("create -f -", POD).ok("pod/web created\n");
    let uid = server.kubectl("get pod web -o jsonpath={.metadata.uid}").out;
    let place = format!("node node-1 in /var/log/maitred/pods/default_web_{uid}/CONTAINER/N.log");
    let logs = server.kubectl("logs web");
    assert_eq!((logs.code, logs.out.as_str()), (1, ""), "{logs:?}");
    assert!(logs.err.contains("maitred does not serve log of Pod default/web"), "{logs:?}");
    assert!(logs.err.contains(&place) && logs.err.contains("--log-dir"), "{logs:?}");
    for (words, name) in [("exec web -- true", "exec"), ("attach web", "attach")] {
        let said = server.kubectl(words);
        assert_eq!(said.code, 1, "{said:?}");
        let expected = format!("does not serve {name} of Pod default/web; enter it on its node node-1, by `nsenter`");
        assert!(said.err.contains(&expected), "{words}: {said:?}");
    }
    // kubectl reads the details of this 404 without asking whether there are any.
    let said = server.kubectl("debug web --image=host");
    assert!(said.code == 1 && said.err.contains("ephemeral containers are disabled for this cluster"), "{said:?}");
    server
        .kubectl("get --raw /api/v1/namespaces/default/pods/none/log")
        .refused("Error from server (NotFound): pods \"none\" not found\n");
    let unplaced = POD
        .replace("  nodeName: node-1\n", "  nodeSelector: { no: node }\n")
        .replace("name: web\nspec", "name: idle\nspec");
    server.kubectl_with("create -f -", &unplaced).ok("pod/idle created\n");
    let said = server.kubectl("exec idle -- true");
    assert!(said.err.contains("exec of Pod default/idle; it runs on no node yet"), "{said:?}");
}
