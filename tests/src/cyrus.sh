# Starts Cyrus in namespaces of its own, as the first process there. Its packages lie over /usr and /etc, which
# nobody outside sees. PACKAGES: where they are unpacked. HERE: this instance's files. USER, PASSWORD: who logs in.
set -e
mount -t tmpfs none /run
mkdir -p /run/cyrus/socket /run/cyrus/proc /run/cyrus/lock /run/etc /run/work "$HERE/mail"
mount -t overlay none -o "lowerdir=$PACKAGES/etc:/etc,upperdir=/run/etc,workdir=/run/work" /etc
mount -t overlay none -o "lowerdir=$PACKAGES/usr:/usr" /usr
# The name of every client is looked up before the greeting; nobody here would answer.
echo "hosts: files" > /etc/nsswitch.conf
echo "cyrus:x:$MAIL_UID:8:Lab:/nonexistent:/usr/sbin/nologin" >> /etc/passwd
cat > /etc/imapd.conf <<X
configdirectory: /run/cyrus
defaultpartition: default
partition-default: $HERE/mail
servername: imap.lab.example
altnamespace: no
unixhierarchysep: no
autocreate_quota: 100000
autocreate_post: yes
autocreate_inbox_folders: Sent | Drafts | Trash
xlist-sent: Sent
xlist-drafts: Drafts
xlist-trash: Trash
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: /run/cyrus/sasldb2
sasl_mech_list: PLAIN LOGIN SCRAM-SHA-256
allowplaintext: no
tls_server_cert: /run/cyrus/chain.pem
tls_server_key: /run/cyrus/key.pem
tls_session_timeout: 0
X
cat > /etc/cyrus.conf <<'X'
START {
  recover cmd="/usr/lib/cyrus/bin/ctl_cyrusdb -r"
  idled cmd="/usr/lib/cyrus/bin/idled"
}
SERVICES {
  lmtp  cmd="lmtpd" listen="/run/cyrus/socket/lmtp" prefork=0
  imap  cmd="imapd" listen="imap" prefork=0
  imaps cmd="imapd -s" listen="imaps" prefork=0
}
EVENTS {
}
X
cp "$HERE/chain.pem" "$HERE/key.pem" /run/cyrus/
printf %s "$PASSWORD" | saslpasswd2 -c -p -f /run/cyrus/sasldb2 -u imap.lab.example "$USER"
unset PASSWORD
chown -R cyrus:mail /run/cyrus "$HERE/mail"
/usr/lib/cyrus/bin/master -C /etc/imapd.conf -M /etc/cyrus.conf -p /run/cyrus/pid &
# The mail arrives when the delivery socket does; the server is not ready before.
until [ -S /run/cyrus/socket/lmtp ]; do sleep 0.05; done
for message in "$HERE"/messages/*; do
    /usr/lib/cyrus/bin/deliver -C /etc/imapd.conf "$USER" < "$message"
done
: > "$HERE/delivered"
wait
